// Deadlines of one connection, and its end.
#include "l4/tcp/engine.h"
#include "l4/tcp/recovery.h"
#include "l4/tcp/stack.h"

namespace sluice::tcp {

namespace {

Verdict give_up(Tcb& t, Core& core) {
  core.counters.add(Counter::tcp_timed_out);
  const bool known = t.synchronized();
  close(t, event_timed_out, core);
  return known ? Verdict::reset : Verdict::closed;
}

// RFC 6298 5.4 to 5.6.
void retransmission_timeout(Tcb& t, Core& core, Nanos now) {
  core.counters.add(Counter::tcp_retransmission_timeouts);
  ++t.timeouts;
  enter_loss(t, core, now);
  t.unanswered = static_cast<std::uint8_t>(std::min(t.unanswered + 1, 255));
  t.back_off = static_cast<std::uint8_t>(std::min(t.back_off + 1, 16));
  if (t.mtu_probe_out) mtu_probe_failed(t, core, now);
  suspect_black_hole(t, core, now);
  restart_timeout(t, core, now, false);
}

// The retransmission timeout of the head, counted from when it was sent last.
Nanos timeout_left(const Tcb& t, const Core& core, Nanos now) {
  const std::int32_t age = since(stamp_of(now), core.records[t.transit->board.head()].sent);
  return t.rto(core.config) - Nanos{1'000} * std::int64_t{age};
}

Verdict timer_fired(Tcb& t, Core& core, Nanos now) {
  const Timer timer = t.timer;
  t.timer = Timer::none;
  t.timer_at = Nanos::never();
  if (t.state == State::syn_sent || t.state == State::syn_received) {
    t.handshake_due = true;
    t.back_off = static_cast<std::uint8_t>(std::min(t.back_off + 1, 16));
    return Verdict::kept;
  }
  const bool unanswered = timer == Timer::retransmit || (timer == Timer::persist && t.unanswered);
  if (unanswered && now - t.progress_at >= core.settings[t.settings].user_timeout) return give_up(t, core);
  if (timer == Timer::persist) {
    if (t.transit->board.empty()) {
      if (t.snd_wnd) {  // what a small window or a cork holds back goes: as any data then
        t.force_send = true;
        core.counters.add(Counter::tcp_window_probes);
        return Verdict::kept;
      }
      t.probe_due = true;
      t.unanswered = static_cast<std::uint8_t>(std::min(t.unanswered + 1, 255));
      t.back_off = static_cast<std::uint8_t>(std::min(t.back_off + 1, 16));
      t.timer = Timer::persist;
      t.timer_at = now + t.rto(core.config);
      core.counters.add(Counter::tcp_window_probes);
    }
    return Verdict::kept;
  }
  if (t.transit->board.empty()) return Verdict::kept;
  if (timer == Timer::probe) {
    t.tail_probe_due = !t.tail_probe_out;  // at most one unanswered
    restart_timeout(t, core, now, !t.tail_probe_due);
    return Verdict::kept;
  }
  if (timer == Timer::reorder) {
    reordering_over(t, core, now);
    restart_timeout(t, core, now, true);
    return Verdict::kept;
  }
  retransmission_timeout(t, core, now);
  return Verdict::kept;
}

Verdict idle_fired(Tcb& t, Core& core, Nanos now) {
  t.idle_at = Nanos::never();
  if (t.state == State::syn_sent || t.state == State::syn_received) return give_up(t, core);
  if (t.state == State::fin_wait_2 && t.released) {
    close(t, 0, core);
    return Verdict::closed;
  }
  t.undo_marked = false;  // a DSACK that has not come in all that time does not come
  const Settings& own = core.settings[t.settings];
  if (own.keepalive_probes == 0) return Verdict::kept;
  if (t.keepalives >= own.keepalive_probes) return give_up(t, core);
  ++t.keepalives;
  if (t.transit->board.empty()) {  // otherwise retransmission finds out
    t.probe_due = true;
    core.counters.add(Counter::tcp_keepalive_probes);
  } else {
    t.keepalives = 0;
  }
  t.idle_at = now + own.keepalive_interval;
  return Verdict::kept;
}

}  // namespace

Verdict expire(Tcb& t, Core& core, Nanos now) {
  if (t.paced && t.pace_at <= now) t.paced = false;
  if (t.timer != Timer::none && t.timer_at <= now) {
    const Verdict verdict = timer_fired(t, core, now);
    if (verdict != Verdict::kept) return verdict;
  }
  if (t.idle_at <= now) return idle_fired(t, core, now);
  return Verdict::kept;
}

void restart_timeout(Tcb& t, const Core& core, Nanos now, bool from_head) {
  if (t.transit->board.empty()) {
    t.timer = Timer::none;
    t.timer_at = Nanos::never();
    return;
  }
  const Nanos wait = from_head ? std::max(timeout_left(t, core, now), Nanos{1'000}) : t.rto(core.config);
  // Nothing is sent after the end (Linux tcp_clamp_rto_to_user_timeout).
  const Nanos left = core.settings[t.settings].user_timeout - (now - t.progress_at);
  t.timer_at = now + std::min(wait, std::max(left, Nanos{}));
  t.timer = Timer::retransmit;
}

bool schedule_probe(Tcb& t, const Core& core, Nanos now, bool advancing) {
  if (t.transit->board.empty() || !t.sack || (t.mode != Mode::open && t.mode != Mode::cwr)) return false;
  // TLP_calc_PTO (RFC 8985 7.2), with rto_min as the worst delayed ACK and a tick's allowance otherwise, as Linux.
  Nanos probe = core.config.rto_initial;
  if (t.rtt.known()) probe = t.rtt.smoothed() * 2 + (t.transit->board.out() == 1 ? core.config.rto_min : Nanos{2_ms});
  const Nanos left = advancing ? t.rto(core.config) : timeout_left(t, core, now);
  if (left > Nanos{}) probe = std::min(probe, left);  // where the timeout is earlier, the probe goes in its place
  t.timer = Timer::probe;
  t.timer_at = now + probe;
  return true;
}

void set_retransmit_timer(Tcb& t, const Core& core, Nanos now) {
  if (!schedule_probe(t, core, now, true))
    restart_timeout(t, core, now, t.timer == Timer::probe || t.timer == Timer::reorder);
}

void set_reordering_timer(Tcb& t, std::uint32_t wait_us, Nanos now) {
  t.timer = Timer::reorder;
  t.timer_at = now + Nanos{1'000} * std::int64_t{wait_us} + Nanos{2_ms};
}

void restart_keepalive(Tcb& t, const Core& core, Nanos now) {
  t.keepalives = 0;
  t.heard_at = now;
  if (t.state == State::fin_wait_2 && t.released) return;
  const Settings& own = core.settings[t.settings];
  t.idle_at = own.keepalive_probes ? now + own.keepalive_idle : Nanos::never();
}

void close(Tcb& t, std::uint16_t event, Core& core) {
  if (t.state == State::closed) return;
  t.state = State::closed;
  t.events |= event | event_closed;
  core.held -= t.queue.buffers();
  t.dropped = {std::min(t.unsent(), t.queue.size()), t.queue.size()};
  t.queue.clear();
  drop_out_of_order(t, core);
  if (t.transit != &core.resting) {
    t.transit->board.clear(core.records);
    rest(t, core);
  }
  t.timer = Timer::none;
  t.timer_at = t.idle_at = Nanos::never();
  owe_nothing(t, core);
  t.acks_due = 0;
  t.handshake_due = t.probe_due = t.tail_probe_due = false;
  t.resend = Resend::none;
}

void accept_options(Tcb& t, const Options& options, const Core& core, Nanos now) {
  const Config& c = core.config;
  // RFC 9293 3.7.1: without the option what any host takes; an MSS of 0 cannot be meant.
  const std::uint16_t unsaid = t.key.local.is_v4() ? 536 : 1220;
  t.peer_mss = std::clamp<std::uint16_t>(options.has_mss && options.mss ? options.mss : unsaid, 48,
                                         core.settings[t.settings].mss_max);
  t.sack = c.sack && options.sack_permitted;
  t.timestamps = c.timestamps && options.has_timestamps;
  t.snd_scale = c.window_scaling && options.has_window_scale ? options.window_scale : 0;
  if (!options.has_window_scale) t.rcv_scale = 0;
  if (t.timestamps) {
    t.ts_recent = options.ts_value;
    t.ts_recent_at = static_cast<std::uint32_t>(now.ns / 1'000'000'000);
  }
  sync_mss(t, core, now);
}

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/acknowledge_test.cc.
