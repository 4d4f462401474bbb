// rate.h - how fast a connection delivers (draft-cheng-iccrg-delivery-rate-estimation), as Linux measures it: each
// segment remembers what had been delivered when it left; what was delivered between then and its acknowledgment, over
// the longer of the time to send it and the time to acknowledge it, is a sample. In segments and microseconds.
#pragma once

#include <algorithm>
#include <cstdint>

#include "l4/tcp/rack.h"

namespace sluice::tcp {

// What a segment carries (in its Record).
struct RateMark {
  std::uint32_t delivered = 0, delivered_at = 0, first_sent = 0;
};

// The newest segment that one ACK delivers.
struct RateSample {
  std::uint32_t prior_delivered = 0, prior_at = 0, send_interval = 0;
  Seq end;
  bool any = false, app_limited = false;
};

struct Rate {
  std::uint32_t delivered = 0;     // segments, DSACKed ones included
  std::uint32_t delivered_at = 0;  // when that last grew
  std::uint32_t first_sent = 0;    // when the segment delivered last was sent: the sampled flight begins there
  std::uint32_t app_limited = 0;   // `delivered` beyond which the sender had enough to send again; 0: it has
  std::uint32_t sample_delivered = 0, sample_interval = 0;  // the sample in force
  bool sample_app_limited = false;

  RateMark on_sent(bool nothing_in_flight, std::uint32_t now) {
    if (nothing_in_flight) first_sent = delivered_at = now;
    return {delivered, delivered_at, first_sent};
  }
  void on_delivered(const RateMark& mark, std::uint32_t sent, Seq end, bool limited, RateSample& sample) {
    if (sample.any && !sent_after(sent, end, first_sent, sample.end)) return;
    sample = {mark.delivered, mark.delivered_at, 0, end, true, limited};
    first_sent = sent;
    sample.send_interval = static_cast<std::uint32_t>(std::max(since(first_sent, mark.first_sent), 0));
  }
  // Once for each ACK, behind all on_delivered().
  void finish(const RateSample& sample, bool delivered_any, std::uint32_t rtt_min, std::uint32_t now) {
    if (app_limited && static_cast<std::int32_t>(delivered - app_limited) > 0) app_limited = 0;
    if (delivered_any) delivered_at = now;
    if (!sample.any) return;
    const std::uint32_t count = delivered - sample.prior_delivered;
    const std::uint32_t interval =
        std::max(sample.send_interval, static_cast<std::uint32_t>(std::max(since(now, sample.prior_at), 0)));
    if (interval < rtt_min || interval == 0) return;
    // The last sample of a full pipe, or the best of those that the application limited.
    if (!sample.app_limited || std::uint64_t{count} * sample_interval >= std::uint64_t{sample_delivered} * interval) {
      sample_delivered = count;
      sample_interval = interval;
      sample_app_limited = sample.app_limited;
    }
  }
  std::uint64_t bytes_per_second(std::uint32_t mss) const {
    return sample_interval ? std::uint64_t{sample_delivered} * mss * 1'000'000 / sample_interval : 0;
  }
};

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/recovery_test.cc.
