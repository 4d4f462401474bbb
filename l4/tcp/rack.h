// rack.h - RACK's state of one connection (RFC 8985 5.3 and 6.2): what was delivered last by time of sending, and the
// reordering window that DSACKs widen. Stamps are microseconds of our clock, modulo 2^32. Plain data.
#pragma once

#include <algorithm>
#include <cstdint>

#include "dataplane/base/units.h"
#include "l4/tcp/seq.h"

namespace sluice::tcp {

// A moment in microseconds that wraps in 71 minutes; only distances mean something.
constexpr std::uint32_t stamp_of(Nanos at) { return static_cast<std::uint32_t>(at.micros()); }
constexpr std::int32_t since(std::uint32_t now, std::uint32_t then) { return static_cast<std::int32_t>(now - then); }
// RACK_sent_after (RFC 8985 6.2): by time, then by sequence number.
constexpr bool sent_after(std::uint32_t a, Seq a_end, std::uint32_t b, Seq b_end) {
  return since(a, b) > 0 || (a == b && a_end > b_end);
}

struct Rack {
  static constexpr std::uint8_t persist_recoveries = 16;

  std::uint32_t sent = 0, rtt = 0;  // of the segment sent last among those delivered; RTT of the one delivered last
  Seq end;
  std::uint32_t widened_at = 0;  // `delivered` when the window was widened
  std::uint8_t steps = 1;        // reo_wnd_mult
  std::uint8_t persist = 0;      // recoveries until the window is narrow again
  bool valid : 1 = false;
  bool advanced : 1 = false;  // something was delivered since losses were looked for
  bool dsack_seen : 1 = false;

  bool operator==(const Rack&) const = default;

  // Steps 1 and 2: a segment was delivered. One that was sent again and comes back in less than the least RTT answers
  // its original.
  void advance(std::uint32_t segment_sent, Seq segment_end, bool resent, std::uint32_t rtt_min, std::uint32_t now) {
    const std::int32_t took = since(now, segment_sent);
    if (resent && took < static_cast<std::int32_t>(rtt_min)) return;
    advanced = true;
    rtt = static_cast<std::uint32_t>(std::max(took, 0));
    if (!valid || sent_after(segment_sent, segment_end, sent, end)) {
      sent = segment_sent;
      end = segment_end;
      valid = true;
    }
  }
  // Step 4: a DSACK widens the window, once in a round trip. `prior`: what had been delivered when the segment that is
  // delivered now was sent.
  void adapt(std::uint32_t delivered, std::uint32_t prior) {
    if (static_cast<std::int32_t>(prior - widened_at) < 0) dsack_seen = false;
    if (dsack_seen) widen(delivered);
    else if (persist == 0) steps = 1;
  }
  void widen(std::uint32_t delivered) {
    steps = static_cast<std::uint8_t>(std::min(steps + 1, 255));
    dsack_seen = false;
    widened_at = delivered;
    persist = persist_recoveries;
  }
};

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/rack_test.cc.
