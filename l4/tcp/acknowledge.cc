// The ACK half of the engine: send window first, then SACK, then the cumulative ACK, then RACK, then congestion
// control.
#include "l4/tcp/engine.h"
#include "l4/tcp/stack.h"

namespace sluice::tcp {

namespace {

constexpr std::uint32_t duplicate_threshold = 3;

void update_send_window(Tcb& t, const Segment& s) {
  // RFC 9293 3.10.7.4, fifth: not from old segments.
  if (!(t.snd_wl1 < s.seq || (t.snd_wl1 == s.seq && t.snd_wl2 <= s.ack) || s.ack > t.snd_una)) return;
  t.snd_wnd = std::uint32_t{s.window} << t.snd_scale;
  t.snd_wnd_max = std::max(t.snd_wnd_max, t.snd_wnd);
  t.snd_wl1 = s.seq;
  t.snd_wl2 = s.ack;
}

// RFC 2883: the first block is a duplicate when it is below the ACK or inside the second block.
bool is_dsack(const Segment& s) {
  const Options& o = s.options;
  if (o.sack_count == 0) return false;
  if (o.sack[0].end <= s.ack) return true;
  return o.sack_count > 1 && o.sack[0].begin >= o.sack[1].begin && o.sack[0].end <= o.sack[1].end;
}

void process_sacks(Tcb& t, const Segment& s, Core& core, Delivered& delivered) {
  for (unsigned i = is_dsack(s) ? 1 : 0; i < s.options.sack_count; ++i) {
    const Range range = s.options.sack[i];
    if (!(range.begin < range.end) || range.begin < s.ack || range.end > t.snd_nxt) continue;
    t.board.sack(core.records, range, delivered);
  }
}

// RACK_update (RFC 8985 6.2, steps 1 to 4).
void update_rack(Tcb& t, const Segment& s, const Delivered& d, bool dsack, Nanos now) {
  if (d.reordered) t.reordering_seen = true;
  if (dsack && t.reorder_steps < 20) ++t.reorder_steps;
  const Nanos rtt = now - d.latest_sent;
  if (d.latest_retransmitted) {
    // It may be the original that was acknowledged: then this RTT is too short to be one.
    if (t.timestamps && s.options.has_timestamps &&
        static_cast<std::int32_t>(s.options.ts_echo - t.ts_now(d.latest_sent)) < 0)
      return;
    if (t.rtt.known() && rtt < t.rtt.min()) return;
  }
  if (d.latest_sent > t.rack_sent || (d.latest_sent == t.rack_sent && d.latest_end > t.rack_end) ||
      t.rack_sent == Nanos{}) {
    t.rack_sent = d.latest_sent;
    t.rack_end = d.latest_end;
    t.rack_rtt = rtt;
  }
}

Nanos reordering_window(const Tcb& t) {
  if (!t.reordering_seen && (t.mode != Mode::open || t.board.sacked() >= duplicate_threshold * t.mss)) return {};
  return std::min(t.rtt.min() / 4 * t.reorder_steps, t.rtt.smoothed());
}

// What is lost by now, by RACK with SACK, by duplicate ACKs without. Returns bytes newly marked.
std::uint32_t detect_losses(Tcb& t, bool duplicate, bool advanced, Core& core, Nanos now) {
  std::uint32_t lost = 0;
  t.reorder_at = Nanos::never();
  if (t.sack) {
    if (t.rack_sent != Nanos{} && !t.board.empty())
      t.reorder_at =
          t.board.detect_losses(core.records, t.rack_sent, t.rack_end, t.rack_rtt, reordering_window(t), now, lost);
    return lost;
  }
  // Without SACK: RFC 5681 and the partial ACKs of RFC 6582.
  if (duplicate && t.dup_acks < 255) ++t.dup_acks;
  if (advanced) t.dup_acks = 0;
  const bool third = duplicate && t.dup_acks == duplicate_threshold && t.mode == Mode::open;
  const bool partial = advanced && t.mode == Mode::recovery && t.snd_una < t.recovery_point;
  if ((third || partial) && !t.board.empty()) {
    const std::uint32_t head = t.board.head(), before = t.board.lost();
    const Record& record = core.records[head];
    if (static_cast<std::uint32_t>(record.end - record.begin) > t.mss)
      t.board.split(core.records, head, record.begin + t.mss);
    t.board.mark_lost(core.records, head);
    lost = t.board.lost() - before;
  }
  return lost;
}

void enter_recovery(Tcb& t) {
  t.mode = Mode::recovery;
  t.recovery_point = t.snd_nxt;
  t.congestion.enter_recovery(t.flight());
  t.undo_possible = true;
  t.retransmit_ts = 0;
}

// Eifel (RFC 3522): the ACK answers the original, so nothing had been lost.
void detect_spurious(Tcb& t, const Segment& s, Core& core) {
  if (!t.undo_possible || t.mode == Mode::open || !t.timestamps || !s.options.has_timestamps || t.retransmit_ts == 0)
    return;
  t.undo_possible = false;
  if (static_cast<std::int32_t>(s.options.ts_echo - t.retransmit_ts) >= 0) return;
  t.congestion.undo();
  t.board.unmark_lost(core.records);
  t.mode = Mode::open;
  t.back_off = 0;
}

// RFC 8985 7.4: did the tail probe repair a loss that nobody else noticed?
void process_tail_probe(Tcb& t, const Segment& s, bool dsack, bool advanced) {
  if (!t.tail_probe_out || s.ack < t.tail_probe_end) return;
  if (!t.tail_probe_old || dsack) {
    t.tail_probe_out = false;
  } else if (s.ack > t.tail_probe_end) {
    t.tail_probe_out = false;
    if (t.mode == Mode::open) t.congestion.reduce_once();
  } else if (!advanced && s.size == 0 && s.options.sack_count == 0) {
    t.tail_probe_out = false;  // the original and the probe both arrived
  }
}

void control_congestion(Tcb& t, const Segment& s, const Delivered& d, std::uint32_t lost, bool advanced, Nanos now) {
  if (t.mode != Mode::open && t.snd_una >= t.recovery_point) {
    // Only the cumulative ACK ends an episode; SACKs that are left over do not.
    if (t.mode == Mode::recovery) t.congestion.leave_recovery();
    t.mode = Mode::open;
    t.dup_acks = 0;
  }
  if (t.mode == Mode::open && lost > 0) {
    enter_recovery(t);
    t.congestion.prr(d.bytes, t.board.in_flight(), false);
  } else if (t.mode == Mode::recovery) {
    t.congestion.prr(t.sack ? d.bytes : std::max(d.bytes, std::uint32_t{t.mss}), t.board.in_flight(),
                     advanced && lost == 0);
  } else if (d.bytes > 0) {
    t.congestion.acknowledged(d.bytes, t.cwnd_limited || t.mode == Mode::loss, t.rtt.smoothed(), now);
  }
}

}  // namespace

void process_ack(Tcb& t, const Segment& s, Core& core, Nanos now) {
  const std::uint32_t old_window = t.snd_wnd;
  const bool advanced = s.ack > t.snd_una;
  update_send_window(t, s);
  Delivered d;
  if (t.sack && s.options.sack_count) process_sacks(t, s, core, d);
  if (advanced) {
    const auto acked = static_cast<std::uint32_t>(s.ack - t.snd_una);
    t.board.acknowledge(core.records, s.ack, d);
    const std::uint32_t buffers = t.queue.buffers(), bytes = t.queue.size();
    t.queue.acknowledge(earlier(s.ack, t.queue.end()));
    core.held -= buffers - t.queue.buffers();
    t.bytes_acknowledged += bytes - t.queue.size();
    t.snd_una += acked;
    t.back_off = 0;
    t.progress_at = now;
    if (t.mtu_probe_out) mtu_probe_acknowledged(t, core, now);
    if (t.snd_una > t.round_end) {
      t.round_end = t.snd_nxt;
      t.congestion.round_began();
    }
    detect_spurious(t, s, core);
    // However full the pool is: behind the last ACK no other comes.
    if (t.wants_room && t.queue.size() <= core.send_limit(core.settings[t.settings], t.congestion.cwnd()) / 2) {
      t.wants_room = false;
      t.events |= event_writable;
    }
  } else if (!t.released && (t.snd_wnd == 0 || t.board.empty())) {
    t.progress_at = now;  // the peer is alive and holds us back: probe for ever (RFC 9293 3.8.6.1)
  }
  if (d.has_rtt) {
    t.rtt.sample(now - d.sent_once, now);
    t.congestion.sampled(now - d.sent_once);
  }
  const bool dsack = t.sack && is_dsack(s);
  const bool duplicate = !advanced && s.length() == 0 && t.snd_wnd == old_window && !t.board.empty();
  if (d.any) update_rack(t, s, d, dsack, now);
  process_tail_probe(t, s, dsack, advanced);
  if (t.board.empty() && !advanced && d.bytes == 0 && t.unsent() == 0) return;
  std::uint32_t lost = detect_losses(t, duplicate, advanced, core, now);
  if (lost && t.mtu_probe_out && mtu_probe_lost(t, core, now)) lost = 0;
  control_congestion(t, s, d, lost, advanced, now);
  if (t.timer == Timer::persist && t.board.empty()) {
    if (t.snd_wnd <= old_window) return;  // still shut: the probes go on at their pace
    t.back_off = 0;
  }
  if (advanced || d.sacked || t.board.empty()) set_retransmit_timer(t, core, now);
}

}  // namespace sluice::tcp
