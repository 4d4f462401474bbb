// Deadlines of one connection, and its end.
#include "l4/tcp/engine.h"
#include "l4/tcp/stack.h"

namespace sluice::tcp {

namespace {

constexpr Nanos delayed_ack_worst = 200_ms;  // WCDelAckT of RFC 8985 7.2

Verdict give_up(Tcb& t, Core& core) {
  core.counters.add(Counter::tcp_timed_out);
  const bool known = t.synchronized();
  close(t, event_timed_out, core);
  return known ? Verdict::reset : Verdict::closed;
}

// RFC 6298 5.4 to 5.6, and RFC 8985 6.3: all that is not sacked counts as lost.
void retransmission_timeout(Tcb& t, Core& core, Nanos now) {
  core.counters.add(Counter::tcp_retransmission_timeouts);
  ++t.timeouts;
  // What the peer sacked at the very front it has dropped again: it reneged.
  if (core.records[t.board.head()].fate == Fate::sacked) t.board.forget_sacks(core.records);
  t.board.mark_all_lost(core.records);
  const bool first = t.mode == Mode::open;  // ssthresh is cut once in an episode
  t.congestion.timed_out(first);
  if (first) {
    t.undo_possible = true;
    t.retransmit_ts = 0;
  }
  t.mode = Mode::loss;
  t.recovery_point = t.snd_nxt;
  t.dup_acks = 0;
  t.tail_probe_out = false;
  t.reorder_at = Nanos::never();
  t.back_off = static_cast<std::uint8_t>(std::min(t.back_off + 1, 16));
  if (t.mtu_probe_out) mtu_probe_failed(t, core, now);
  suspect_black_hole(t, core, now);
  t.timer = Timer::retransmit;
  t.timer_at = now + t.rto(core.config);
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
  if (timer != Timer::probe && now - t.progress_at >= core.settings[t.settings].user_timeout) return give_up(t, core);
  if (timer == Timer::persist) {
    if (t.board.empty()) {
      if (t.snd_wnd) t.force_send = true;
      else t.probe_due = true;
      t.back_off = static_cast<std::uint8_t>(std::min(t.back_off + 1, 16));
      t.timer = Timer::persist;
      t.timer_at = now + t.rto(core.config);
      core.counters.add(Counter::tcp_window_probes);
    }
    return Verdict::kept;
  }
  if (t.board.empty()) return Verdict::kept;
  if (timer == Timer::probe) {
    t.tail_probe_due = true;
    t.timer = Timer::retransmit;
    t.timer_at = now + t.rto(core.config);
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
  const Settings& own = core.settings[t.settings];
  if (own.keepalive_probes == 0) return Verdict::kept;
  if (t.keepalives >= own.keepalive_probes) return give_up(t, core);
  ++t.keepalives;
  if (t.board.empty()) {  // otherwise retransmission finds out
    t.probe_due = true;
    core.counters.add(Counter::tcp_keepalive_probes);
  } else {
    t.keepalives = 0;
  }
  t.idle_at = now + own.keepalive_interval;
  return Verdict::kept;
}

void reordering_fired(Tcb& t, Core& core, Nanos now) {
  std::uint32_t lost = 0;
  const Nanos window = !t.reordering_seen && t.mode != Mode::open
                           ? Nanos{}
                           : std::min(t.rtt.min() / 4 * t.reorder_steps, t.rtt.smoothed());
  t.reorder_at = t.board.detect_losses(core.records, t.rack_sent, t.rack_end, t.rack_rtt, window, now, lost);
  if (lost == 0 || t.mode != Mode::open || (t.mtu_probe_out && mtu_probe_lost(t, core, now))) return;
  t.mode = Mode::recovery;
  t.recovery_point = t.snd_nxt;
  t.congestion.enter_recovery(t.flight());
  t.congestion.prr(0, t.board.in_flight(), false);
  t.undo_possible = true;
  t.retransmit_ts = 0;
}

}  // namespace

Verdict expire(Tcb& t, Core& core, Nanos now) {
  if (t.ack_at <= now) {
    t.ack_at = Nanos::never();
    t.acknowledge_now();
  }
  if (t.reorder_at <= now) reordering_fired(t, core, now);
  if (t.timer_at <= now) {
    const Verdict verdict = timer_fired(t, core, now);
    if (verdict != Verdict::kept) return verdict;
  }
  if (t.idle_at <= now) return idle_fired(t, core, now);
  return Verdict::kept;
}

void set_retransmit_timer(Tcb& t, const Core& core, Nanos now) {
  if (t.board.empty()) {
    t.timer = Timer::none;
    t.timer_at = Nanos::never();
    return;
  }
  const Nanos rto_at = now + t.rto(core.config);
  t.timer = Timer::retransmit;
  t.timer_at = rto_at;
  if (!t.sack || t.mode != Mode::open || t.board.sacked() || t.tail_probe_out || t.back_off) return;
  // TLP_calc_PTO (RFC 8985 7.2).
  Nanos probe = t.rtt.known() ? t.rtt.smoothed() * 2 + 2_ms : Nanos{1_s};
  if (t.board.in_flight() <= t.mss) probe += delayed_ack_worst;
  if (now + probe >= rto_at) return;
  t.timer = Timer::probe;
  t.timer_at = now + probe;
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
  core.held -= t.queue.buffers() + t.reassembly.buffers();
  core.out_of_order_held -= t.reassembly.buffers();
  t.reassembly.clear(core.holes);
  t.dropped = {t.unsent(), t.queue.size()};
  t.queue.clear();
  t.board.clear(core.records);
  t.timer = Timer::none;
  t.timer_at = t.reorder_at = t.ack_at = t.idle_at = Nanos::never();
  t.acks_due = 0;
  t.handshake_due = t.probe_due = t.tail_probe_due = false;
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
