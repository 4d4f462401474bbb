// rtt.h - round-trip time and retransmission timeout (RFC 6298), in microseconds. The variance term has a floor, as in
// Linux: RTO = SRTT + max(rto_min, 4 x RTTVAR), so that a delayed acknowledgment never looks like a loss.
#pragma once

#include <algorithm>
#include <cstdint>

#include "dataplane/base/units.h"

namespace sluice::tcp {

using namespace sluice::literals;

class Rtt {
 public:
  void sample(Nanos measured, Nanos now) {
    const auto us = static_cast<std::uint32_t>(std::clamp<std::int64_t>(measured.micros(), 1, 1u << 30));
    if (srtt_ == 0) {
      srtt_ = us;
      variance_ = us / 2;
    } else {
      const std::uint32_t error = us > srtt_ ? us - srtt_ : srtt_ - us;
      variance_ = variance_ - variance_ / 4 + error / 4;
      srtt_ = std::max(srtt_ - srtt_ / 8 + us / 8, 1u);
    }
    // The minimum of the last five minutes or so, by one step.
    const auto second = static_cast<std::uint32_t>(now.ns / 1'000'000'000);
    if (min_ == 0 || us <= min_ || second - min_at_ > 300) {
      min_ = us;
      min_at_ = second;
    }
  }
  bool known() const { return srtt_ != 0; }
  Nanos smoothed() const { return Nanos{1'000} * srtt_; }
  Nanos variance() const { return Nanos{1'000} * variance_; }
  Nanos min() const { return Nanos{1'000} * min_; }
  // Before back-off.
  Nanos rto(Nanos floor, Nanos initial, Nanos ceiling) const {
    if (!known()) return initial;
    return std::min(smoothed() + std::max(floor, variance() * 4), ceiling);
  }

 private:
  std::uint32_t srtt_ = 0, variance_ = 0, min_ = 0, min_at_ = 0;
};

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/acknowledge_test.cc, tests/unit/l4/tcp/stack_test.cc.
