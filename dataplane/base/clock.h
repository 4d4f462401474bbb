// clock.h - the time of a worker turn: the CPU's time-stamp counter as Nanos, without a syscall.
// Nanos count from the clock's construction, plus an origin so that zero is never "now". Needs an invariant TSC. The
// wall clock is an offset that the management thread renews (sync_wall); only log and certificate times use it. Made
// once, at start, by mgmt; below mgmt/ the time is an argument, and only the worker loop and ports read a Clock.
#pragma once

#include <rte_cycles.h>

#include <atomic>
#include <cstdint>

#include "dataplane/base/units.h"

namespace sluice {

class Clock {
 public:
  // Calibrates by DPDK's estimate of the TSC rate; EAL must run. `tsc_hz` of other origin is for tests.
  Clock();
  explicit Clock(std::uint64_t tsc_hz);

  Nanos now() const { return from_tsc(rte_rdtsc()); }
  Nanos from_tsc(std::uint64_t tsc) const {
    // 64.32 fixed point: below 1 ns of error in a second, no overflow in 500 years.
    return {origin_.ns + static_cast<std::int64_t>(static_cast<unsigned __int128>(tsc - start_tsc_) * scale_ >> 32)};
  }
  std::uint64_t tsc_hz() const { return hz_; }

  // Nanoseconds since 1970 for a time of this clock.
  std::int64_t wall_ns(Nanos at) const { return at.ns + wall_offset_.load(std::memory_order_relaxed); }
  // Management thread, now and then: follows the system's clock (steps, NTP).
  void sync_wall();

 private:
  static constexpr Nanos origin_{1'000'000'000};
  std::uint64_t hz_;
  std::uint64_t scale_;  // nanoseconds per cycle << 32
  std::uint64_t start_tsc_;
  std::atomic<std::int64_t> wall_offset_{0};
};

}  // namespace sluice
