// tickets.h - the keys that protect session tickets (RFC 5077 4, used by RFC 8446 4.6.1): AES-256-CBC then
// HMAC-SHA-256. One keyring serves all workers and all listeners, so that a ticket given by one worker is taken by
// every other. The keys are data from management, which rotates them: new tickets get the current key, the previous one
// is still accepted (and such a ticket is replaced by a fresh one).
#pragma once

#include <atomic>
#include <optional>

#include "crypto/secret.h"

namespace sluice::tls {

struct TicketKey {
  std::array<std::uint8_t, 16> name{};
  std::array<std::uint8_t, 32> cipher{};
  std::array<std::uint8_t, 32> mac{};
  bool operator==(const TicketKey&) const = default;
};

struct TicketKeys {
  TicketKey current;
  TicketKey previous;  // all zero when there is none
  TicketKeys() = default;
  TicketKeys(const TicketKeys&) = default;
  TicketKeys& operator=(const TicketKeys&) = default;
  ~TicketKeys() { wipe(this, sizeof *this); }

  // A random key from the system's generator. On the management thread.
  static std::optional<TicketKey> random_key();
};

// One writer (management), any number of readers, no lock: a reader that meets a write reads again.
class TicketKeyring {
 public:
  TicketKeyring();
  ~TicketKeyring();
  TicketKeyring(const TicketKeyring&) = delete;
  TicketKeyring& operator=(const TicketKeyring&) = delete;

  void set(const TicketKeys& keys);
  // current becomes previous; `next` becomes current.
  void rotate(const TicketKey& next);
  TicketKeys get() const;

 private:
  static constexpr std::size_t words = sizeof(TicketKeys) / 8;
  static_assert(sizeof(TicketKeys) % 8 == 0);
  std::atomic<std::uint64_t> version_{0};  // odd while a write is going on
  std::array<std::atomic<std::uint64_t>, words> keys_{};
};

}  // namespace sluice::tls
