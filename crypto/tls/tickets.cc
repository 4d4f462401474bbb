#include "crypto/tls/tickets.h"

#include <openssl/rand.h>

namespace sluice::tls {

std::optional<TicketKey> TicketKeys::random_key() {
  TicketKey key;
  static_assert(sizeof(TicketKey) == 80);
  if (RAND_priv_bytes(reinterpret_cast<unsigned char*>(&key), sizeof key) != 1) return std::nullopt;
  return key;
}

TicketKeyring::TicketKeyring() { lock_memory(keys_.data(), sizeof keys_); }
TicketKeyring::~TicketKeyring() { set({}); }

void TicketKeyring::set(const TicketKeys& keys) {
  std::array<std::uint64_t, words> raw;
  std::memcpy(raw.data(), &keys, sizeof keys);
  const std::uint64_t version = version_.load(std::memory_order_relaxed);
  version_.store(version + 1, std::memory_order_relaxed);
  for (std::size_t i = 0; i < words; ++i) keys_[i].store(raw[i], std::memory_order_release);
  version_.store(version + 2, std::memory_order_release);
  wipe(raw.data(), sizeof raw);
}

void TicketKeyring::rotate(const TicketKey& next) {
  TicketKeys keys = get();
  keys.previous = keys.current;
  keys.current = next;
  set(keys);
}

TicketKeys TicketKeyring::get() const {
  std::array<std::uint64_t, words> raw;
  for (;;) {
    const std::uint64_t before = version_.load(std::memory_order_acquire);
    for (std::size_t i = 0; i < words; ++i) raw[i] = keys_[i].load(std::memory_order_acquire);
    if ((before & 1) == 0 && version_.load(std::memory_order_relaxed) == before) break;
  }
  TicketKeys keys;
  std::memcpy(static_cast<void*>(&keys), raw.data(), sizeof keys);
  wipe(raw.data(), sizeof raw);
  return keys;
}

}  // namespace sluice::tls
