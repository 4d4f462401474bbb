#include "l4/tcp/congestion.h"

#include <cmath>

namespace sluice::tcp {

namespace {

constexpr double c = 0.4;                                             // RFC 9438 5.1, segments / s^3
constexpr std::uint64_t one = 1 << 16;                                // segment
constexpr unsigned samples_min = 8, css_rounds = 5, css_divisor = 4;  // RFC 9406 4.3

}  // namespace

void Congestion::acknowledged(std::uint32_t segments, std::uint32_t rtt_min_us, std::uint32_t now_ms) {
  if (!limited()) return;
  if (slow_start()) {
    // Conservative slow start grows by a quarter.
    const std::uint64_t grown = exact() + segments * one / (css_rounds_ ? css_divisor : 1);
    const std::uint64_t limit = ssthresh_ * one;
    set_exact(std::min(grown, limit));
    if (grown <= limit) return;
    segments = static_cast<std::uint32_t>((grown - limit) / one);
  }
  avoid(segments, rtt_min_us, now_ms);
}

void Congestion::round_began() {
  last_round_min_us_ = round_min_us_;
  round_min_us_ = 0;
  samples_ = 0;
  if (css_rounds_ && ++css_rounds_ > css_rounds && slow_start()) {
    ssthresh_ = cwnd_;
    css_rounds_ = 0;
  }
}

void Congestion::sampled(std::uint32_t rtt_us) {
  if (!slow_start() || !unlimited()) return;  // later ones end where a loss told (RFC 9406 4.3)
  round_min_us_ = round_min_us_ ? std::min(round_min_us_, rtt_us) : rtt_us;
  if (samples_ < 255) ++samples_;
  if (samples_ < samples_min || last_round_min_us_ == 0) return;
  if (!css_rounds_) {
    const std::uint32_t threshold = std::clamp(last_round_min_us_ / 8, 4'000u, 16'000u);
    if (round_min_us_ >= last_round_min_us_ + threshold) {
      css_baseline_us_ = round_min_us_;
      css_rounds_ = 1;
    }
  } else if (round_min_us_ < css_baseline_us_) {
    css_rounds_ = 0;  // it was jitter
  }
}

void Congestion::sent(std::uint32_t out, bool is_limited, Seq una, Seq next, std::uint32_t idle_rto_ms, bool open,
                      std::uint32_t now_ms) {
  if (una >= usage_end_ || is_limited || (!limited_ && out > out_max_)) {
    limited_ = is_limited;
    out_max_ = narrow(out);
    usage_end_ = next;
  }
  if (limited()) {
    used_ = 0;
    used_at_ms_ = now_ms;
    return;
  }
  used_ = std::max(used_, narrow(out));
  if (idle_rto_ms == 0 || now_ms - used_at_ms_ < idle_rto_ms) return;
  // Not filled for a timeout: half the way back to what was used (RFC 2861 3.2).
  if (open) {
    const std::uint16_t used = std::max(used_, initial_);
    if (used < cwnd_) {
      ssthresh_ = narrow(current_ssthresh(false));
      cwnd_ = narrow((std::uint32_t{cwnd_} + used) / 2);
      fraction_ = 0;
    }
    used_ = 0;
  }
  used_at_ms_ = now_ms;
}

void Congestion::restart_after_idle(std::uint32_t idle_ms, std::uint32_t rto_ms, std::uint32_t now_ms) {
  ssthresh_ = narrow(current_ssthresh(false));
  const std::uint16_t least = std::min(initial_, cwnd_);
  std::int64_t left = std::int64_t{idle_ms} - rto_ms;
  for (; left > 0 && cwnd_ > least; left -= rto_ms) cwnd_ /= 2;
  cwnd_ = std::max(cwnd_, least);
  fraction_ = 0;
  used_at_ms_ = now_ms;
  used_ = 0;
}

void Congestion::resumed(std::uint32_t idle_ms, std::uint32_t now_ms) {
  if (epoch_ms_ == 0) return;
  epoch_ms_ += idle_ms;
  if (static_cast<std::int32_t>(epoch_ms_ - now_ms) > 0) epoch_ms_ = now_ms;
}

void Congestion::reduce(std::uint32_t delivered, std::uint32_t in_flight, bool advanced, bool newly_lost) {
  if (delivered == 0 || prior_cwnd_ == 0) return;
  prr_delivered_ = narrow(prr_delivered_ + delivered);
  const std::int32_t room = std::int32_t{ssthresh_} - static_cast<std::int32_t>(in_flight);
  std::int32_t send;
  if (room < 0) {  // proportional
    send = static_cast<std::int32_t>((std::uint64_t{ssthresh_} * prr_delivered_ + prior_cwnd_ - 1) / prior_cwnd_) -
           prr_out_;
  } else {  // as much as was delivered; a little more while the peer moves on and nothing new is lost
    send = std::max(std::int32_t{prr_delivered_} - prr_out_, static_cast<std::int32_t>(delivered));
    if (advanced && !newly_lost) ++send;
    send = std::min(send, room);
  }
  send = std::max(send, prr_out_ ? 0 : 1);  // the first retransmission always goes
  cwnd_ = narrow(static_cast<std::uint32_t>(static_cast<std::int32_t>(in_flight) + send));
  fraction_ = 0;
}

void Congestion::cut() {
  prior_cwnd_ = cwnd_;
  // Fast convergence (RFC 9438 4.7).
  last_max_ = cwnd_ < last_max_ ? narrow(cwnd_ * 17u / 20) : cwnd_;
  epoch_over_ = true;
  css_rounds_ = 0;
  // The next epoch begins with the part of a segment that ssthresh does not show.
  target_ = std::max(static_cast<std::uint32_t>(std::uint64_t{exact()} * 7 / 10), static_cast<std::uint32_t>(2 * one));
  ssthresh_ = narrow(target_ >> 16);
  fraction_ = 0;
}

void Congestion::begin_epoch(std::uint32_t now_ms) {
  epoch_ms_ = now_ms;
  if (epoch_over_ && target_ >> 16 == cwnd_) set_exact(std::max(target_, exact()));
  epoch_over_ = false;
  estimate_ = exact();
  origin_ = std::max(last_max_, cwnd_);
  k_seconds_ = static_cast<float>(std::cbrt((origin_ - static_cast<double>(exact()) / one) / c));
}

// RFC 9438 4.2 to 4.5, each segment that was acknowledged counted.
void Congestion::avoid(std::uint32_t segments, std::uint32_t rtt_min_us, std::uint32_t now_ms) {
  now_ms = now_ms ? now_ms : 1;
  if (epoch_ms_ == 0 || epoch_over_) begin_epoch(now_ms), last_ms_ = now_ms - 1;
  if (now_ms != last_ms_) {
    last_ms_ = now_ms;
    const double t = (now_ms - epoch_ms_) * 1e-3 + rtt_min_us * 1e-6 - k_seconds_;
    const double window = std::min(origin_ + c * t * t * t, 65535.0);
    target_ = window > 0 ? static_cast<std::uint32_t>(window * one) : 0;
  }
  // Reno-friendly: nine seventeenths of a segment a round trip until the cut is made up for, then a whole one (4.3).
  const std::uint64_t acked = segments * one / cwnd_;
  estimate_ = static_cast<std::uint32_t>(
      std::min(estimate_ + (estimate_ >> 16 < prior_cwnd_ ? acked * 9 / 17 : acked), 65535 * one));
  const std::uint64_t window = exact();
  // No faster than half a window in a round trip, and no slower than a twentieth while no loss showed where the limit
  // is: the curve knows little then.
  const std::uint64_t target = std::min<std::uint64_t>(target_, window + window / 2);
  std::uint64_t step = target > window ? target - window : 0;
  if (last_max_ == 0) step = std::max(step, window / 20);
  set_exact(std::min(std::max<std::uint64_t>(window + step * segments / cwnd_, estimate_), cwnd_max * one));
}

}  // namespace sluice::tcp
