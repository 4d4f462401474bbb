// congestion.h - how much may be in flight: CUBIC (RFC 9438) with HyStart++ (RFC 9406), initial window (RFC 6928),
// Proportional Rate Reduction in recovery (RFC 6937), restart after idle (RFC 5681 4.1). In bytes. Plain data.
// The window grows only while it is what limits the sender.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "dataplane/base/units.h"

namespace sluice::tcp {

using namespace sluice::literals;

class Congestion {
 public:
  static constexpr std::uint32_t cwnd_max = 1u << 30;

  void start(std::uint32_t mss, std::uint32_t segments) {
    // RFC 6928: min(10 x MSS, max(2 x MSS, 14600)).
    cwnd_ = std::min(segments * mss, std::max(2 * mss, segments * 1460u));
    initial_ = cwnd_;
    mss_ = mss;
  }
  std::uint32_t cwnd() const { return cwnd_; }
  std::uint32_t ssthresh() const { return ssthresh_; }
  bool slow_start() const { return cwnd_ < ssthresh_; }
  void set_mss(std::uint32_t mss) { mss_ = mss; }

  // Bytes were acknowledged outside recovery. `limited`: the window, not the application or the peer, held the sender
  // back.
  void acknowledged(std::uint32_t bytes, bool limited, Nanos rtt, Nanos now) {
    if (!limited) {
      epoch_start_ = {};  // no credit for time in which the window was not used (RFC 9438 5.8)
      return;
    }
    if (slow_start()) {
      const std::uint32_t room = ssthresh_ - cwnd_;
      // HyStart++: conservative slow start grows by a quarter. L is 8: without pacing, a burst counts for 8 segments.
      const std::uint32_t grow = std::min(bytes, 8 * mss_) / (css_rounds_ ? 4 : 1);
      cwnd_ = std::min(cwnd_ + std::min(grow, room), cwnd_max);
      if (slow_start()) return;
      bytes = bytes > room ? bytes - room : 0;
    }
    avoid(bytes, rtt, now);
  }
  // A round trip began (the data of the one before is acknowledged) / an RTT sample came: HyStart++ (RFC 9406 4.2).
  void round_began() {
    last_round_min_ = round_min_;
    round_min_ = Nanos::never();
    samples_ = 0;
    if (css_rounds_ && ++css_rounds_ > 5 && slow_start()) leave_slow_start();
  }
  void sampled(Nanos rtt) {
    if (!slow_start()) return;
    round_min_ = std::min(round_min_, rtt);
    if (++samples_ < 8 || last_round_min_ == Nanos::never() || round_min_ == Nanos::never()) return;
    if (!css_rounds_) {
      const Nanos threshold = std::clamp(last_round_min_ / 8, Nanos{4_ms}, Nanos{16_ms});
      if (round_min_ >= last_round_min_ + threshold) {
        css_baseline_ = round_min_;
        css_rounds_ = 1;
      }
    } else if (round_min_ < css_baseline_) {
      css_rounds_ = 0;  // it was jitter
    }
  }

  // Loss found: the window to come after recovery, and PRR's state. `flight` is SND.NXT - SND.UNA.
  void enter_recovery(std::uint32_t flight) {
    save();
    reduce(beta);
    prr_delivered_ = prr_out_ = 0;
    recover_flight_ = std::max(flight, 1u);
  }
  // An acknowledgment in recovery that newly delivered bytes: cwnd is what may be in flight now.
  void prr(std::uint32_t delivered, std::uint32_t pipe, bool advanced_without_loss) {
    prr_delivered_ += delivered;
    std::int64_t allowance;
    if (pipe > ssthresh_) {
      allowance =
          (static_cast<std::int64_t>(prr_delivered_) * ssthresh_ + recover_flight_ - 1) / recover_flight_ - prr_out_;
    } else {
      std::int64_t limit = std::max<std::int64_t>(std::int64_t{prr_delivered_} - prr_out_, delivered);
      if (advanced_without_loss) limit += mss_;
      allowance = std::min<std::int64_t>(ssthresh_ - pipe, limit);
    }
    // The first retransmission always goes.
    if (prr_out_ == 0) allowance = std::max<std::int64_t>(allowance, mss_);
    cwnd_ = static_cast<std::uint32_t>(pipe + std::max<std::int64_t>(allowance, 0));
  }
  void prr_sent(std::uint32_t bytes) { prr_out_ += bytes; }
  void leave_recovery() { cwnd_ = std::max(ssthresh_, 2 * mss_); }

  // Retransmission timeout. `first` of an episode: only then is ssthresh cut.
  void timed_out(bool first) {
    if (first) {
      save();
      reduce(beta);
    }
    cwnd_ = mss_;
  }
  // The loss was none (Eifel, DSACK): as if it had not been.
  void undo() {
    cwnd_ = std::max(cwnd_, undo_cwnd_);
    ssthresh_ = std::max(ssthresh_, undo_ssthresh_);
    epoch_start_ = {};
  }
  // One reduction without recovery (a tail loss that the probe itself repaired).
  void reduce_once() {
    reduce(beta);
    cwnd_ = ssthresh_;
  }
  void restart_after_idle() {
    cwnd_ = std::min(cwnd_, initial_);
    epoch_start_ = {};
  }

 private:
  static constexpr double beta = 0.7, c = 0.4, alpha = 3 * (1 - beta) / (1 + beta);

  void save() {
    undo_cwnd_ = cwnd_;
    undo_ssthresh_ = ssthresh_;
  }
  void leave_slow_start() {
    ssthresh_ = cwnd_;
    css_rounds_ = 0;
  }
  void reduce(double factor) {
    // Fast convergence (RFC 9438 4.7).
    const float window = static_cast<float>(cwnd_);
    w_max_ = window < w_max_ ? window * static_cast<float>((1 + factor) / 2) : window;
    prior_ = window;
    ssthresh_ = std::max(static_cast<std::uint32_t>(cwnd_ * factor), 2 * mss_);
    epoch_start_ = {};
    css_rounds_ = 0;
  }
  void avoid(std::uint32_t bytes, Nanos rtt, Nanos now) {
    const double segment = mss_;
    if (epoch_start_ == Nanos{}) {
      epoch_start_ = now;
      w_est_ = static_cast<float>(cwnd_);
      if (static_cast<float>(cwnd_) < w_max_) {
        k_ = static_cast<float>(std::cbrt((w_max_ - cwnd_) / segment / c));
      } else {
        k_ = 0;
        w_max_ = static_cast<float>(cwnd_);
      }
    }
    const double t = (now - epoch_start_).seconds();
    const auto cubic = [&](double at) { return c * std::pow(at - k_, 3) * segment + w_max_; };
    w_est_ += static_cast<float>((w_est_ >= prior_ ? 1.0 : alpha) * segment * bytes / cwnd_);
    if (cubic(t) < w_est_) {  // Reno-friendly region (4.3)
      cwnd_ = std::min(std::max(cwnd_, static_cast<std::uint32_t>(w_est_)), cwnd_max);
      return;
    }
    const double target = std::clamp(cubic(t + rtt.seconds()), double(cwnd_), 1.5 * cwnd_);
    grown_ += static_cast<float>((target - cwnd_) * bytes / cwnd_);
    const auto whole = static_cast<std::uint32_t>(grown_);
    grown_ -= static_cast<float>(whole);
    cwnd_ = std::min(cwnd_ + whole, cwnd_max);
  }

  std::uint32_t cwnd_ = 0, ssthresh_ = cwnd_max, initial_ = 0, mss_ = 536;
  std::uint32_t prr_delivered_ = 0, prr_out_ = 0, recover_flight_ = 1;
  std::uint32_t undo_cwnd_ = 0, undo_ssthresh_ = 0;
  float w_max_ = 0, k_ = 0, w_est_ = 0, prior_ = 0, grown_ = 0;
  std::uint16_t samples_ = 0;
  std::uint8_t css_rounds_ = 0;
  Nanos epoch_start_{};
  Nanos round_min_ = Nanos::never(), last_round_min_ = Nanos::never(), css_baseline_{};
};

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/acknowledge_test.cc, tests/unit/l4/tcp/stack_test.cc.
