// cookie.h - SYN cookies (RFC 4987 3.6): a SYN is answered without keeping anything of it. What must be known when the
// ACK comes stands in our initial sequence number (the MSS, of a table of eight, under a keyed hash of tuple, the
// peer's number and a clock of 64 s) and, where the peer has timestamps, in the low six bits of the one that we sent:
// its window scale, SACK and ECN. Without timestamps there is no scale, SACK or ECN. A guess is right with a chance of
// 2^-28; a cookie is good for 64 to 128 s. Pure functions, any thread; CookieGate decides when, one owner thread.
#pragma once

#include <array>
#include <optional>

#include "dataplane/base/hash.h"
#include "dataplane/base/units.h"
#include "l4/tcp/config.h"
#include "l4/tcp/key.h"
#include "l4/tcp/seq.h"

namespace sluice::tcp {

class Cookies {
 public:
  explicit Cookies(const SipHash::Key& secret) : sip_(secret) {}

  // Our initial sequence number for a SYN with number `irs` that offered `mss`.
  Seq make(const Key& key, Seq irs, std::uint16_t mss, Nanos now) const;
  // The MSS of a cookie that we made for this tuple lately: the largest of the table that is not above what was
  // offered. Offers below the smallest count as that one (Linux: 536).
  std::optional<std::uint16_t> check(const Key& key, Seq irs, Seq cookie, Nanos now) const;

  // The MSS that cookies can carry: what is behind tunnels, PPPoE, Ethernet and jumbo frames.
  static constexpr std::array<std::uint16_t, 8> mss_table{216, 536, 1220, 1300, 1400, 1440, 1460, 8900};
  static constexpr Nanos period{64'000'000'000};
  static constexpr unsigned periods = 2;  // that a cookie is good for, the current one included

 private:
  std::uint32_t mac(const Key& key, Seq irs, std::uint32_t period, std::uint32_t mss_index) const;

  SipHash sip_;
};

// What the low bits of the timestamp in a cookie's SYN-ACK say; the peer echoes them.
struct CookieOptions {
  bool scaled = false;
  std::uint8_t snd_scale = 0;
  bool sack = false;
  bool ecn = false;

  bool operator==(const CookieOptions&) const = default;
  static constexpr std::uint32_t mask = 0x3f;
  // The latest timestamp not above `clock` that says this.
  std::uint32_t put(std::uint32_t clock) const;
  // Nothing: no timestamp of a cookie.
  static std::optional<CookieOptions> take(std::uint32_t echoed);
};

// Switches cookies on when half-open connections fill the SYN cache to three quarters, or when SYNs that nobody
// completes come faster than Config::cookie_rate; off when both have been below half of that for a second.
class CookieGate {
 public:
  explicit CookieGate(const Config& config);
  // A SYN came to a listener, with that many half-open connections: whether to answer by a cookie.
  bool syn(std::uint32_t half_open, Nanos now);
  // A handshake was completed, by a cookie or not.
  void completed() { ++completed_; }
  void sent(Nanos now) { sent_at_ = now; }
  // Whether a cookie that we sent may still be good: otherwise an ACK is not looked at as one.
  bool out(Nanos now) const {
    return sent_at_ != Nanos::never() && now - sent_at_ < Cookies::period * Cookies::periods;
  }
  bool on() const { return on_; }

 private:
  void roll(Nanos now);

  SynCookies when_;
  std::uint32_t mark_, rate_;
  bool on_;
  std::uint32_t syns_ = 0, completed_ = 0;  // of the window
  std::uint32_t highest_ = 0;               // half-open connections in it
  std::uint32_t quiet_ = 0;                 // windows in a row below the half
  Nanos window_began_{};
  Nanos sent_at_ = Nanos::never();
};

}  // namespace sluice::tcp
