// aead.h - the authenticated ciphers and hashes that TLS 1.3 records use (RFC 8446 B.4), as values.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace sluice {

enum class Aead : std::uint8_t { aes128_gcm, aes256_gcm, chacha20_poly1305 };
enum class Hash : std::uint8_t { sha256, sha384 };

inline constexpr std::size_t aead_tag_size = 16;
inline constexpr std::size_t aead_nonce_size = 12;
inline constexpr std::size_t max_key_size = 32;
inline constexpr std::size_t max_hash_size = 48;

constexpr std::size_t key_size(Aead aead) { return aead == Aead::aes128_gcm ? 16 : 32; }
constexpr std::size_t hash_size(Hash hash) { return hash == Hash::sha256 ? 32 : 48; }
constexpr std::size_t block_size(Hash hash) { return hash == Hash::sha256 ? 64 : 128; }

// A cipher suite by its number on the wire.
enum class Suite : std::uint16_t {
  none = 0,
  aes128_gcm_sha256 = 0x1301,
  aes256_gcm_sha384 = 0x1302,
  chacha20_poly1305_sha256 = 0x1303,
};

struct SuiteInfo {
  Suite suite;
  Aead aead;
  Hash hash;
  std::string_view name;  // as IANA has it
};
inline constexpr std::array<SuiteInfo, 3> suites{{
    {Suite::aes128_gcm_sha256, Aead::aes128_gcm, Hash::sha256, "TLS_AES_128_GCM_SHA256"},
    {Suite::aes256_gcm_sha384, Aead::aes256_gcm, Hash::sha384, "TLS_AES_256_GCM_SHA384"},
    {Suite::chacha20_poly1305_sha256, Aead::chacha20_poly1305, Hash::sha256, "TLS_CHACHA20_POLY1305_SHA256"},
}};

// nullptr for a suite that is not ours.
constexpr const SuiteInfo* find_suite(Suite suite) {
  for (const SuiteInfo& info : suites)
    if (info.suite == suite) return &info;
  return nullptr;
}

}  // namespace sluice
