// moment.h - points in time in 32 bits, because a connection has many. Both convert from Nanos and compare with the
// caller's now; neither means anything more than half its range away.
//   Deadline  65.5 us steps, rounded up so that it is never early; up to 39 hours ahead; may be never.
//   Moment    16.4 us steps; up to 19 hours ago.
#pragma once

#include "dataplane/base/units.h"

namespace sluice::tcp {

class Deadline {
 public:
  constexpr Deadline() = default;
  constexpr Deadline(Nanos at) {
    if (at != Nanos::never()) ticks_ = static_cast<std::uint32_t>((at.ns + (1 << shift) - 1) >> shift);
    if (at != Nanos::never() && ticks_ == none) ticks_ = 0;  // a step late
  }
  constexpr bool operator==(const Deadline&) const = default;
  constexpr bool operator<=(Nanos now) const {
    return ticks_ != none && static_cast<std::int32_t>(static_cast<std::uint32_t>(now.ns >> shift) - ticks_) >= 0;
  }
  constexpr bool before(Deadline other) const {
    return ticks_ != none && (other.ticks_ == none || static_cast<std::int32_t>(ticks_ - other.ticks_) < 0);
  }
  static constexpr Deadline first(Deadline a, Deadline b) { return b.before(a) ? b : a; }
  // On the caller's scale, given a time near it.
  constexpr Nanos nanos(Nanos near) const {
    if (ticks_ == none) return Nanos::never();
    const std::int64_t base = near.ns >> shift;
    return {(base + static_cast<std::int32_t>(ticks_ - static_cast<std::uint32_t>(base))) << shift};
  }
  static constexpr Nanos furthest{(std::int64_t{1} << 31 << 16) / 2};

 private:
  static constexpr unsigned shift = 16;
  static constexpr std::uint32_t none = ~std::uint32_t{0};
  std::uint32_t ticks_ = none;
};

class Moment {
 public:
  constexpr Moment() = default;
  constexpr Moment(Nanos at) : ticks_(static_cast<std::uint32_t>(at.ns >> shift)) {}
  friend constexpr Nanos operator-(Nanos now, Moment then) {
    const std::uint32_t steps = static_cast<std::uint32_t>(now.ns >> shift) - then.ticks_;
    return {static_cast<std::int64_t>(steps) << shift};
  }

 private:
  static constexpr unsigned shift = 14;
  std::uint32_t ticks_ = 0;
};

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/moment_test.cc.
