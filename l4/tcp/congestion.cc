#include "l4/tcp/congestion.h"

#include <cmath>

namespace sluice::tcp {

namespace {

constexpr std::uint32_t beta = 717, scale = 1024;  // 0.7 (RFC 9438 4.6), in Linux's fraction
constexpr double c = 0.4;
constexpr unsigned samples_min = 8, css_rounds = 5, css_divisor = 4;  // RFC 9406 4.3

}  // namespace

void Congestion::acknowledged(std::uint32_t segments, std::uint32_t rtt_min_us, std::uint32_t now_ms) {
  if (!limited()) return;
  if (slow_start()) {
    // Conservative slow start grows by a quarter.
    std::uint32_t grow = segments;
    if (css_rounds_) {
      grown_ += segments;
      grow = grown_ / css_divisor;
      grown_ %= css_divisor;
    }
    const std::uint32_t room = ssthresh_ - cwnd_;
    cwnd_ = narrow(cwnd_ + std::min(grow, room));
    if (grow <= room) return;
    segments = grow - room;
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
  if (!slow_start()) return;
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
}

std::uint32_t Congestion::reduced() {
  // Fast convergence (RFC 9438 4.7).
  last_max_ = cwnd_ < last_max_ ? narrow(cwnd_ * (scale + beta) / (2 * scale)) : cwnd_;
  epoch_ms_ = 0;
  css_rounds_ = 0;
  return std::max(cwnd_ * beta / scale, 2u);
}

void Congestion::avoid(std::uint32_t segments, std::uint32_t rtt_min_us, std::uint32_t now_ms) {
  now_ms = now_ms ? now_ms : 1;
  reno_acked_ += segments;
  const bool fresh = epoch_ms_ == 0 || last_cwnd_ != cwnd_ || now_ms - last_ms_ > 31;
  if (fresh && (epoch_ms_ == 0 || now_ms != last_ms_)) {
    last_cwnd_ = cwnd_;
    last_ms_ = now_ms;
    if (epoch_ms_ == 0) {
      epoch_ms_ = now_ms;
      reno_acked_ = segments;
      reno_ = cwnd_;
      origin_ = std::max(last_max_, cwnd_);
      k_seconds_ = static_cast<float>(std::cbrt((origin_ - cwnd_) / c));
    }
    const double t = (now_ms - epoch_ms_) * 1e-3 + rtt_min_us * 1e-6 - k_seconds_;
    const double target = origin_ + std::trunc(c * t * t * t);
    per_growth_ = target > cwnd_ ? static_cast<std::uint32_t>(cwnd_ / (target - cwnd_)) : 100u * cwnd_;
    // The curve says little while no loss showed where the limit is.
    if (last_max_ == 0) per_growth_ = std::min(per_growth_, 20u);
  }
  if (fresh) {
    // Reno-friendly region (4.3): one more for each cwnd x (1 + beta) / (3 x (1 - beta)) acknowledged.
    const std::uint32_t step = std::max(cwnd_ * 15u / 8, 1u);
    while (reno_acked_ > step) {
      reno_acked_ -= step;
      reno_ = narrow(reno_ + 1u);
    }
    if (reno_ > cwnd_) per_growth_ = std::min<std::uint32_t>(per_growth_, cwnd_ / (reno_ - cwnd_));
    per_growth_ = std::max(per_growth_, 2u);  // never faster than half a window in a round trip
  }
  if (grown_ >= per_growth_) {
    grown_ = 0;
    cwnd_ = narrow(cwnd_ + 1u);
  }
  grown_ += segments;
  if (grown_ >= per_growth_) {
    const std::uint32_t more = grown_ / per_growth_;
    grown_ -= more * per_growth_;
    cwnd_ = narrow(cwnd_ + more);
  }
}

}  // namespace sluice::tcp
