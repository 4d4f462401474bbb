// The ACK half of the engine, in Linux's order: send window, SACK, ECN, the cumulative ACK, RTT, RACK's window, the
// tail probe, the states of recovery (recovery.cc), timer, delivery rate, congestion window.
#include "l4/tcp/recovery.h"

#include "l4/tcp/engine.h"
#include "l4/tcp/stack.h"

namespace sluice::tcp {

namespace {

// True when the window says something new, so that the ACK is no duplicate.
bool update_send_window(Tcb& t, const Segment& s, bool advanced) {
  // RFC 9293 3.10.7.4, fifth: not from old segments.
  if (!(t.snd_wl1 < s.seq || (t.snd_wl1 == s.seq && t.snd_wl2 <= s.ack) || advanced)) return false;
  const std::uint32_t window = std::uint32_t{s.window} << t.snd_scale;
  const bool moved = advanced || t.snd_wl1 < s.seq || window != t.snd_wnd || window == 0;
  t.snd_wnd = window;
  t.snd_wnd_max = std::max(t.snd_wnd_max, window);
  t.snd_wl1 = s.seq;
  t.snd_wl2 = s.ack;
  return moved;
}

// RFC 2883: the first block is a duplicate when it is below the ACK or inside the second block.
bool is_dsack(const Options& o, Seq ack) {
  if (o.sack_count == 0) return false;
  if (o.sack[0].begin < ack) return true;
  return o.sack_count > 1 && o.sack[0].begin >= o.sack[1].begin && o.sack[0].end <= o.sack[1].end;
}

void process_sacks(Ack& a) {
  Tcb& t = a.t;
  const Options& o = a.s.options;
  const bool dsack = is_dsack(o, a.s.ack);
  if (dsack && wake(t, a.core)) note_duplicate(a, o.sack[0]);
  if (t.transit->board.empty()) return;
  for (unsigned i = dsack ? 1 : 0; i < o.sack_count; ++i) {
    const Range range = o.sack[i];
    // Reversed, beyond what was sent, or not above what is acknowledged: no block of ours.
    if (!(range.begin < range.end) || range.end > t.snd_nxt || range.begin <= t.snd_una) continue;
    t.transit->board.sack(a.core.records, range, a.news, t.transit->rack, t.rate);
  }
  if (t.mode != Mode::loss || t.undo_marked)
    note_reordering(t, a.news.reordered_from, t.transit->board.fack(a.core.records));
}

// What the cumulative ACK frees, and the RTT that it tells (RFC 6298 3, RFC 7323 4).
void take_off(Ack& a, Seq prior_fack) {
  Tcb& t = a.t;
  News& n = a.news;
  const std::uint32_t sacked_before = t.transit->board.sacked();
  const std::uint32_t delivered_before = n.delivered;
  n.reordered_from = t.snd_nxt;
  t.transit->board.acknowledge(a.core.records, t.snd_una, n, t.transit->rack, t.rate);
  if (n.data_acked) n.set_timer = true;

  std::int64_t rtt = -1, last = -1;  // for the timeout: the oldest; for the minimum and HyStart++: the newest
  if (n.has_sent && !n.resent_acked) {
    rtt = since(n.now, n.first_sent);
    last = since(n.now, n.last_sent);
  }
  // One small segment alone: its ACK may have been delayed, so it says nothing about the minimum.
  const bool delayed = n.acknowledged == 1 && !sacked_before && n.delivered == delivered_before + 1 && t.sack &&
                       !n.dsack && t.snd_una - a.prior_una < t.segment_size;
  if (n.has_sack_sent) {
    if (rtt < 0) rtt = since(n.now, n.first_sack_sent);
    last = since(n.now, n.last_sack_sent);
  }
  const Options& o = a.s.options;
  if (rtt < 0 && n.data_acked && t.timestamps && o.has_timestamps && o.ts_echo) {
    const std::uint32_t ms = t.ts_now(a.now) - o.ts_echo;
    if (ms < 1u << 22) rtt = last = std::max(ms, 1u) * std::int64_t{1000};
  }
  if (rtt >= 0) {
    if (last >= 0 && !(delayed && last > t.rtt.min_us() && t.rtt.min_us()))
      t.rtt.sample_min(static_cast<std::uint32_t>(last), a.now);
    t.rtt.sample(Nanos{1'000} * rtt, a.core.config.rto_min, t.snd_una, t.snd_nxt);
    t.back_off = 0;  // only a measurement says that the timeout is right again
    if (last >= 0) t.congestion.sampled(static_cast<std::uint32_t>(last));
  }
  if (n.data_acked) {
    if (!t.sack) {
      remove_duplicates(a);
      // Without SACK a retransmission in front hides whose original it was that moved the ACK.
      if (n.resent_acked) n.original_acked = false;
    } else {
      note_reordering(t, n.reordered_from, prior_fack);
    }
  } else if (n.has_sack_sent && !t.transit->board.empty() &&
             since(n.now, n.first_sack_sent) > since(n.now, a.core.records[t.transit->board.head()].sent)) {
    n.set_timer = true;  // the sacked were sent before the head: the timeout counts from here
  }
}

void move_una(Ack& a) {
  Tcb& t = a.t;
  const Seq ack = a.s.ack;
  const std::uint32_t buffers = t.queue.buffers(), bytes = t.queue.size();
  t.queue.acknowledge(earlier(ack, t.queue.end()));
  a.core.held -= buffers - t.queue.buffers();
  t.bytes_acknowledged += bytes - t.queue.size();
  t.snd_una = ack;
  t.progress_at = a.now;
  t.unanswered = 0;
  if (ack > t.round_end) {
    t.round_end = t.snd_nxt;
    t.congestion.round_began();
  }
  // However full the pool is: behind the last ACK no other comes.
  if (t.wants_room &&
      t.queue.size() <= a.core.send_limit(a.core.settings[t.settings], t.congestion.cwnd() * t.segment_size) / 2) {
    t.wants_room = false;
    t.events |= event_writable;
  }
}

// What was delivered becomes the rate and the congestion window (Linux tcp_cong_control).
void control_congestion(Ack& a, std::uint32_t lost_before) {
  Tcb& t = a.t;
  News& n = a.news;
  t.rate.delivered += n.delivered;
  if (!t.sacks_reneged) t.rate.finish(n.rate, n.delivered > 0, t.rtt.min_us(), n.now);
  else if (n.delivered) t.rate.delivered_at = n.now;
  if (reducing(t)) {
    t.congestion.reduce(n.delivered, t.transit->board.in_flight(), n.advanced,
                        t.transit->board.lost_ever() != lost_before);
  } else if (t.reordering > 3 ? n.progress() : n.data_acked) {
    t.congestion.acknowledged(n.delivered, t.rtt.min_us(), static_cast<std::uint32_t>(a.now.millis()));
  }
}

// Nothing is in flight: data that waits for the window may go, or is probed for again.
void hear_window(Tcb& t, const Core& core, Nanos now) {
  t.unanswered = 0;
  if (t.timer != Timer::persist || t.unsent() == 0) return;
  if (t.snd_wnd >= std::min<std::uint32_t>(t.unsent(), t.segment_size)) {
    t.back_off = 0;
    t.timer = Timer::none;
    t.timer_at = Nanos::never();
  } else {
    t.timer_at = now + t.rto(core.config);
  }
}

// Nothing was in flight: the answer to a probe, or the window's news.
void answer_probe(Ack& a) {
  Tcb& t = a.t;
  if (a.news.dsack) judge(a, 0);
  if (t.tail_probe_out) judge_tail_probe(a);
  t.rate.delivered += a.news.delivered;
  hear_window(t, a.core, a.now);
}

// An ACK from before, overtaken by others: what it sacks is still news.
void process_old_ack(Ack& a) {
  if (!a.t.sack || a.s.options.sack_count == 0) return;
  const std::uint32_t lost_before = a.t.transit->board.lost_ever();
  process_sacks(a);
  judge(a, 0);
  control_congestion(a, lost_before);
}

}  // namespace

// Whole: the steps of one ACK in their order.
void process_ack(Tcb& t, const Segment& s, Core& core, Nanos now) {
  // The ACK field of most data: nothing of ours was in flight, nothing is said about it.
  if (t.transit->board.empty() && s.ack == t.snd_una && s.options.sack_count == 0 && !s.has(flag_ece) &&
      !t.tail_probe_out) [[likely]] {
    update_send_window(t, s, false);
    if (t.timer != Timer::persist) return;  // nothing waits for it: what the rest writes is far away
    if (!t.released) t.progress_at = now;   // the peer is alive (RFC 9293 3.8.6.1)
    return hear_window(t, core, now);
  }
  Ack a{t, core, s, now, {}, t.snd_una};
  News& n = a.news;
  n.now = stamp_of(now);
  n.rtt_min = t.rtt.min_us();
  n.mss = t.segment_size;
  n.recovery_point = t.transit->recovery_point;
  n.sack = t.sack;
  n.reordered_from = t.snd_nxt;
  n.carries_data = s.length() > 0;
  if (t.timestamps && s.options.has_timestamps && s.options.ts_echo) {
    // The end of the millisecond in which what it echoes was sent.
    n.has_echo = true;
    const std::int64_t age = static_cast<std::int32_t>(t.ts_now(now) - s.options.ts_echo);
    n.echo_sent = static_cast<std::uint32_t>((now.millis() - age) * 1000 + 999);
  }
  const std::uint32_t lost_before = t.transit->board.lost_ever();
  if (s.ack < t.snd_una) {
    process_old_ack(a);
    if (a.resend != Resend::none) t.resend = a.resend;
    return;
  }
  n.advanced = s.ack > t.snd_una;
  const bool was_empty = t.transit->board.empty();
  const Seq prior_fack = t.sack ? t.transit->board.fack(core.records) : t.snd_una;
  n.window_moved = update_send_window(t, s, n.advanced);
  if (n.advanced) move_una(a);
  else if (!t.released && (t.snd_wnd == 0 || was_empty))
    t.progress_at = now;  // the peer is alive and holds us back: probe for ever (RFC 9293 3.8.6.1)
  if (t.sack && s.options.sack_count) process_sacks(a);
  if (t.ecn && s.has(flag_ece) && !s.has(flag_syn)) {
    n.echo = true;
    core.counters.add(Counter::tcp_ecn_echoes_received);
  }
  if (was_empty) return answer_probe(a);

  take_off(a, prior_fack);
  if (n.advanced && t.mtu_probe_out) mtu_probe_acknowledged(t, core, now);
  n.rtt_min = t.rtt.min_us();
  if (n.rate.any) t.transit->rack.adapt(t.rate.delivered + n.delivered, n.rate.prior_delivered);
  if (t.tail_probe_out) judge_tail_probe(a);
  const bool told_nothing = !n.carries_data && !n.window_moved && !n.data_acked;
  if (told_nothing || n.data_sacked || n.echo || n.dsack || t.mode != Mode::open) judge(a, n.duplicate() ? 1 : 0);
  if (n.set_timer) set_retransmit_timer(t, core, now);
  control_congestion(a, lost_before);
  if (a.resend != Resend::none) t.resend = a.resend;
}

}  // namespace sluice::tcp
