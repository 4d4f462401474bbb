// rtt.h - round-trip time and retransmission timeout (RFC 6298), in microseconds, with Linux's refinements: the mean
// deviation grows at once and shrinks slowly when the RTT falls, the variance is the largest deviation of a round trip
// and shrinks by a quarter a round, and its floor is rto_min: RTO = SRTT + max(rto_min, 4 x deviation). So a delayed
// acknowledgment never looks like a loss.
#pragma once

#include <algorithm>
#include <cstdint>

#include "dataplane/base/units.h"
#include "l4/tcp/seq.h"

namespace sluice::tcp {

using namespace sluice::literals;

class Rtt {
 public:
  void sample(Nanos measured, Nanos floor, Seq una, Seq next) {
    const auto us = static_cast<std::int32_t>(std::clamp<std::int64_t>(measured.micros(), 1, 1 << 27));
    const auto least = static_cast<std::uint32_t>(floor.micros());
    if (srtt8_ == 0) {
      srtt8_ = static_cast<std::uint32_t>(us) * 8;
      deviation4_ = static_cast<std::uint32_t>(us) * 2;
      variance4_ = deviation_max4_ = std::max(deviation4_, least);
      round_end_ = next;
      return;
    }
    std::int32_t error = us - static_cast<std::int32_t>(srtt8_ / 8);
    srtt8_ = std::max<std::uint32_t>(srtt8_ + static_cast<std::uint32_t>(error), 1);
    const auto deviation = static_cast<std::int32_t>(deviation4_ / 4);
    if (error < 0) {
      error = -error - deviation;
      if (error > 0) error /= 8;  // a falling RTT is no reason for a larger timeout
    } else {
      error -= deviation;
    }
    deviation4_ += static_cast<std::uint32_t>(error);
    if (deviation4_ > deviation_max4_) {
      deviation_max4_ = deviation4_;
      variance4_ = std::max(variance4_, deviation_max4_);
    }
    if (una > round_end_) {  // once in a round trip
      if (deviation_max4_ < variance4_) variance4_ -= (variance4_ - deviation_max4_) / 4;
      round_end_ = next;
      deviation_max4_ = least;
    }
  }
  // The minimum of the last five minutes or so, by one step.
  void sample_min(std::uint32_t us, Nanos now) {
    const auto second = static_cast<std::uint32_t>(now.ns / 1'000'000'000);
    us = us ? us : 1000;
    if (min_ == 0 || us <= min_ || second - min_at_ > 300) {
      min_ = us;
      min_at_ = second;
    }
  }
  // No sample from the handshake, which was sent more than once (RFC 6298 5.7).
  void fall_back() {
    if (!known()) variance4_ = deviation4_ = deviation_max4_ = 3'000'000;
  }
  bool known() const { return srtt8_ != 0; }
  Nanos smoothed() const { return Nanos{1'000} * (srtt8_ / 8); }
  Nanos variance() const { return Nanos{1'000} * (deviation4_ / 4); }
  Nanos min() const { return Nanos{1'000} * min_; }
  std::uint32_t min_us() const { return min_; }
  std::uint32_t smoothed_us() const { return srtt8_ / 8; }
  // Before back-off.
  Nanos rto(Nanos initial, Nanos ceiling) const {
    if (variance4_ == 0) return initial;
    return std::min(Nanos{1'000} * (std::int64_t{srtt8_ / 8} + variance4_), ceiling);
  }

 private:
  std::uint32_t srtt8_ = 0, deviation4_ = 0, deviation_max4_ = 0, variance4_ = 0;  // times 8 and 4
  Seq round_end_;
  std::uint32_t min_ = 0, min_at_ = 0;
};

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/recovery_test.cc, tests/unit/l4/tcp/stack_test.cc.
