// secrets.h - one direction of a TLS 1.3 connection: its traffic secret and what follows from it (RFC
// 8446 7.2, 7.3, 5.3). Plain data, wiped when it dies. KeyCache holds the expanded keys of the connections that were
// busy last.
#pragma once

#include <memory>

#include "crypto/hkdf.h"
#include "crypto/secret.h"

namespace sluice::tls {

// Where the expanded key of a direction stands in the cache, if it still does.
struct KeySlot {
  std::uint32_t index = 0;
  std::uint32_t stamp = 0;  // 0: nowhere
};

struct Direction {
  Secret<max_hash_size> secret;
  Secret<max_key_size> key;
  std::array<std::uint8_t, aead_nonce_size> iv{};
  std::uint64_t sequence = 0;  // of the next record
  KeySlot hot;

  ~Direction() { wipe(iv); }
  // Begins with a traffic secret: derives key and iv. The slot of an older key must have been dropped.
  void start(Engine& engine, const SuiteInfo& suite, ByteView traffic_secret, std::uint64_t first_sequence);
  // The next generation of the secret ("traffic upd"), at sequence 0.
  void update(Engine& engine, const SuiteInfo& suite);
  // The nonce of the next record.
  std::array<std::uint8_t, aead_nonce_size> nonce() const {
    std::array<std::uint8_t, aead_nonce_size> nonce = iv;
    for (int i = 0; i < 8; ++i) nonce[4 + i] ^= static_cast<std::uint8_t>(sequence >> (56 - 8 * i));
    return nonce;
  }
};

class KeyCache {
 public:
  KeyCache(Engine& engine, std::uint32_t slots);
  ~KeyCache();
  KeyCache(const KeyCache&) = delete;
  KeyCache& operator=(const KeyCache&) = delete;

  // The expanded key; another may be thrown out for it (the clock's second chance). Valid until the next get().
  const AeadKey& get(Aead aead, Direction& direction);
  // The key is to be used no more: wiped.
  void drop(Direction& direction);

 private:
  struct Entry {
    std::uint32_t stamp = 0;
    bool used = false;
  };
  Engine& engine_;
  std::uint32_t slots_;
  std::unique_ptr<AeadKey[]> keys_;
  std::unique_ptr<Entry[]> entries_;
  std::uint32_t hand_ = 0;
  std::uint32_t stamp_ = 0;
};

}  // namespace sluice::tls
