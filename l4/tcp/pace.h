// pace.h - segments spread over the round trip: a next-send time that each transmission moves on by its size over the
// rate, 200 % of cwnd / SRTT in slow start and 120 % beyond, as Linux. The wheel's tick is a millisecond, so what a
// millisecond carries goes at once, and ten segments after a pause; where the least RTT is a few ticks, nothing is
// paced. What it brings stands in tests/sim/README.md.
#pragma once

#include <algorithm>

#include "l4/tcp/tcb.h"

namespace sluice::tcp {

inline constexpr Nanos paced_rtt_min = 8_ms;
inline constexpr unsigned paced_burst = 10;

inline bool paces(const Tcb& t, const Config& c) { return c.pacing && t.rtt.known() && t.rtt.min() >= paced_rtt_min; }
// Bytes a second; never 0.
inline std::uint64_t pacing_rate(const Tcb& t) {
  const std::uint64_t percent = t.congestion.cwnd() < t.congestion.ssthresh() / 2 ? 200 : 120;
  const std::uint64_t window = std::uint64_t{std::max(t.congestion.cwnd(), t.transit->board.out())} * t.segment_size;
  return std::max<std::uint64_t>(window * percent * 10'000 / std::max(t.rtt.smoothed_us(), 1u), 1);
}
// Whether the next segment has to wait: then the timer brings it (deadline()).
inline bool held_by_pace(Tcb& t, const Config& c, Nanos now) {
  const std::int32_t wait = since(t.next_send, stamp_of(now));
  t.paced = paces(t, c) && wait > 0;
  if (t.paced) t.pace_at = now + Nanos{1'000} * std::int64_t{wait};
  return t.paced;
}
inline void pace(Tcb& t, const Config& c, std::uint32_t bytes, Nanos now) {
  if (!paces(t, c)) return;
  const std::uint64_t rate = pacing_rate(t);
  const auto time_of = [&](std::uint64_t n) {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(n * 1'000'000 / rate, 1'000'000));
  };
  const std::uint32_t credit = std::max(time_of(std::uint64_t{paced_burst} * t.segment_size), 1000u);
  const std::uint32_t stamp = stamp_of(now);
  const std::int32_t ahead = std::clamp(since(t.next_send, stamp), -static_cast<std::int32_t>(credit), 1'000'000);
  t.next_send = stamp + static_cast<std::uint32_t>(ahead) + time_of(bytes);
}

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/pace_test.cc.
