// hkdf.h - HMAC (RFC 2104), HKDF (RFC 5869) and TLS 1.3's HKDF-Expand-Label (RFC 8446 7.1) on the engine's hashes.
// No allocation: usable in a worker's turn. Inputs are short; the limits stand at each function.
#pragma once

#include "crypto/engine.h"

namespace sluice {

// Longest message that hmac() takes, in bytes.
inline constexpr std::size_t max_hmac_message = 512;

// out: hash_size(hash) bytes.
void hmac(Engine& engine, Hash hash, ByteView key, ByteView message, std::uint8_t* out);
void hkdf_extract(Engine& engine, Hash hash, ByteView salt, ByteView input, std::uint8_t* out);
// out: at most 255 * hash_size(hash) bytes; info: at most 320 bytes.
void hkdf_expand(Engine& engine, Hash hash, ByteView secret, ByteView info, MutableBytes out);
// label without "tls13 ".
void hkdf_expand_label(Engine& engine, Hash hash, ByteView secret, std::string_view label, ByteView context,
                       MutableBytes out);

}  // namespace sluice
