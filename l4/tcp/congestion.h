// congestion.h - how much may be in flight: CUBIC (RFC 9438) with HyStart++ (RFC 9406) in the first slow start, initial
// window (RFC 6928),
// Proportional Rate Reduction (RFC 6937 with the bounds of RFC 9937), validation of an unused window (RFC 2861, as
// Linux does it). In segments, as Linux counts. Plain data; recovery.cc decides when.
//
// Slow start counts every segment that an ACK covers: RFC 9406's L is infinite here, as it is in Linux, whether paced
// or not.
#pragma once

#include <algorithm>
#include <cstdint>

#include "dataplane/base/units.h"
#include "l4/tcp/seq.h"

namespace sluice::tcp {

using namespace sluice::literals;

class Congestion {
 public:
  static constexpr std::uint32_t cwnd_max = 0xffff;
  static constexpr std::uint32_t infinite = 0xffff;  // ssthresh of a connection that saw no loss

  void start(std::uint32_t segments) { cwnd_ = initial_ = narrow(std::max(segments, 1u)); }
  // A SYN or SYN-ACK was lost more than once (RFC 5681 3.1).
  void start_after_loss() { cwnd_ = 1; }
  std::uint32_t cwnd() const { return cwnd_; }
  std::uint32_t ssthresh() const { return ssthresh_; }
  bool slow_start() const { return cwnd_ < ssthresh_; }
  bool unlimited() const { return ssthresh_ == infinite; }

  // Segments were delivered outside recovery and the state lets the window grow. No growth where it is not the limit.
  void acknowledged(std::uint32_t segments, std::uint32_t rtt_min_us, std::uint32_t now_ms);
  // A round trip began (the data of the one before is acknowledged) / an RTT sample came: HyStart++ (RFC 9406 4.2).
  void round_began();
  void sampled(std::uint32_t rtt_us);

  // What came of sending: how much is out now, and whether the window held more back (RFC 7661; Linux
  // tcp_cwnd_validate). `idle_rto_ms`: zero when an unused window is kept for ever.
  void sent(std::uint32_t out, bool limited, Seq una, Seq next, std::uint32_t idle_rto_ms, bool open,
            std::uint32_t now_ms);
  bool limited() const { return limited_ || (slow_start() && cwnd_ < 2u * out_max_); }
  // Nothing was sent for idle_ms: the window halves for each timeout that passed, down to the initial one.
  void restart_after_idle(std::uint32_t idle_ms, std::uint32_t rto_ms, std::uint32_t now_ms);
  // Time in which nothing was sent does not count as growth (RFC 9438 5.8).
  void resumed(std::uint32_t idle_ms, std::uint32_t now_ms);

  // What ssthresh would be if nothing had been reduced yet.
  std::uint32_t current_ssthresh(bool reducing) const {
    return reducing ? ssthresh_ : std::max<std::uint32_t>(ssthresh_, cwnd_ / 2 + cwnd_ / 4);
  }
  // `saved`: what an undo goes back to, 0: the reduction stands.
  void remember(std::uint32_t saved) { prior_ssthresh_ = narrow(saved); }
  // A reduction begins: ssthresh is cut, the window follows by reduce().
  void begin_reduction() {
    prr_delivered_ = prr_out_ = 0;
    cut();
  }
  // PRR: an ACK delivered that many segments; the window is what may be in flight now.
  void reduce(std::uint32_t delivered, std::uint32_t in_flight, bool advanced, bool newly_lost);
  void reduction_sent(std::uint32_t segments) { prr_out_ = narrow(prr_out_ + segments); }
  void end_reduction() {
    cwnd_ = ssthresh_;
    fraction_ = 0;
  }

  // Retransmission timeout. `first` of an episode.
  void timed_out(bool first, std::uint32_t in_flight) {
    if (first) {
      prior_ssthresh_ = narrow(current_ssthresh(false));
      cut();
      last_max_ = 1;  // the next epoch has K = 0 and W_max = cwnd (RFC 9438 4.8)
    }
    cwnd_ = narrow(in_flight + 1);
    fraction_ = 0;
  }
  // The loss was none: as if it had not been. True when ssthresh went back too.
  bool undo() {
    if (prior_ssthresh_ == 0) return false;
    cwnd_ = std::max(cwnd_, prior_cwnd_);
    if (epoch_over_) resume_epoch();
    if (prior_ssthresh_ <= ssthresh_) return false;
    ssthresh_ = prior_ssthresh_;
    return true;
  }

 private:
  static std::uint16_t narrow(std::uint32_t n) { return static_cast<std::uint16_t>(std::min(n, 0xffffu)); }
  std::uint32_t exact() const { return std::uint32_t{cwnd_} << 16 | fraction_; }
  void set_exact(std::uint64_t window) {
    cwnd_ = narrow(static_cast<std::uint32_t>(window >> 16));
    fraction_ = static_cast<std::uint16_t>(window);
  }
  // The multiplicative decrease, of ssthresh alone.
  void cut();
  void begin_epoch(std::uint32_t now_ms);
  // RFC 9438 4.9: the curve goes on as if nothing had been cut.
  void resume_epoch() {
    epoch_over_ = false;
    last_max_ = epoch_ms_ ? origin_ : 0;
    target_ = 0;
  }
  void avoid(std::uint32_t segments, std::uint32_t rtt_min_us, std::uint32_t now_ms);

  std::uint16_t cwnd_ = 0, ssthresh_ = static_cast<std::uint16_t>(infinite), initial_ = 10;
  std::uint16_t prior_cwnd_ = 0, prior_ssthresh_ = 0;
  std::uint16_t prr_delivered_ = 0, prr_out_ = 0;
  // How much of the window was in use, of the round trip that ends at usage_end_.
  std::uint16_t out_max_ = 0, used_ = 0;
  bool limited_ : 1 = false;
  bool epoch_over_ : 1 = false;  // cut since it began
  std::uint8_t samples_ = 0, css_rounds_ = 0;
  Seq usage_end_;
  std::uint32_t used_at_ms_ = 0;
  // CUBIC: W_max as the last loss left it (0: none yet) and as this epoch uses it, K, the curve's value at last_ms_
  // (the new ssthresh once the epoch is over) and W_est, the window of a Reno flow beside us; those two in segments /
  // 65536, as cwnd_ with fraction_.
  std::uint16_t fraction_ = 0;
  std::uint16_t last_max_ = 0, origin_ = 0;
  std::uint32_t target_ = 0, estimate_ = 0;
  std::uint32_t epoch_ms_ = 0, last_ms_ = 0;
  float k_seconds_ = 0;
  // HyStart++, microseconds; 0: unknown.
  std::uint32_t round_min_us_ = 0, last_round_min_us_ = 0, css_baseline_us_ = 0;
};

}  // namespace sluice::tcp
