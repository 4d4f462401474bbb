#include "l4/tcp/recovery.h"

#include "l4/tcp/engine.h"

namespace sluice::tcp {

namespace {

bool older(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) < 0; }

// Eifel (RFC 3522): the ACK answers what was sent before the first retransmission, or there was none.
bool delayed_not_lost(const Ack& a) {
  const Options& o = a.s.options;
  if (!a.t.retransmit_ts_set) return true;
  return a.t.timestamps && o.has_timestamps && o.ts_echo && older(o.ts_echo, a.t.transit->retransmit_ts);
}
bool may_undo(const Ack& a) { return a.t.undo_marked && (a.t.transit->undo_resends == 0 || delayed_not_lost(a)); }

void forget_stamp_if_clean(Ack& a) {
  if (!a.t.transit->board.resent_any(a.core.records)) a.t.retransmit_ts_set = false;
}

void undo(Ack& a, bool unmark) {
  Tcb& t = a.t;
  if (unmark) t.transit->board.unmark_lost(a.core.records);
  if (t.congestion.undo()) t.cwr_due = false;
  t.undo_marked = false;
  t.transit->rack.advanced = true;  // losses are to be looked for again
  a.core.counters.add(Counter::tcp_spurious_recoveries);
}

// Without SACK an episode lasts until something above its end is acknowledged, or its own duplicates would begin the
// next (RFC 6582 4.1).
bool must_stay(Ack& a) {
  if (a.t.snd_una != a.t.transit->recovery_point || a.t.sack) return false;
  forget_stamp_if_clean(a);
  return true;
}

void keep_open(Tcb& t, const Core& core) {
  const Mode mode =
      t.transit->board.left_out() || t.transit->board.resent_any(core.records) ? Mode::disorder : Mode::open;
  if (t.mode == mode) return;
  t.mode = mode;
  t.transit->recovery_point = t.snd_nxt;
}

void begin_reduction(Tcb& t) {
  t.transit->recovery_point = t.snd_nxt;
  t.tail_probe_out = false;
  t.congestion.begin_reduction();
  t.cwr_due = t.ecn;
}

void begin_undo(Tcb& t) {
  t.undo_marked = true;
  t.transit->undo_marker = t.snd_una;
  t.transit->undo_resends =
      static_cast<std::int32_t>(t.transit->board.again()) + (t.tail_probe_out && t.tail_probe_old ? 1 : 0);
  if (t.transit->undo_resends == 0) t.transit->undo_resends = -1;  // none yet: 0 says that all were in vain
}

void enter_recovery(Tcb& t, Core& core, bool echo) {
  if (!t.transit->board.resent_any(core.records)) t.retransmit_ts_set = false;
  t.congestion.remember(0);
  begin_undo(t);
  if (!reducing(t)) {
    if (!echo) t.congestion.remember(t.congestion.current_ssthresh(false));
    begin_reduction(t);
  }
  t.mode = Mode::recovery;
  core.counters.add(Counter::tcp_fast_recoveries);
}

void enter_cwr(Tcb& t, Core& core) {
  t.congestion.remember(0);
  if (t.mode >= Mode::cwr) return;
  t.undo_marked = false;
  begin_reduction(t);
  t.mode = Mode::cwr;
  core.counters.add(Counter::tcp_ecn_reductions);
}

void end_reduction(Tcb& t) {
  if (!t.congestion.unlimited() && (t.mode == Mode::cwr || t.undo_marked)) t.congestion.end_reduction();
}

void try_to_open(Ack& a) {
  forget_stamp_if_clean(a);
  if (a.news.echo) enter_cwr(a.t, a.core);
  if (a.t.mode != Mode::cwr) keep_open(a.t, a.core);
}

bool undo_by_dsack(Ack& a) {
  Tcb& t = a.t;
  if (!t.undo_marked || t.transit->undo_resends != 0) return false;
  t.transit->rack.persist =
      static_cast<std::uint8_t>(std::min<int>(t.transit->rack.persist + 1, Rack::persist_recoveries));
  undo(a, false);
  return true;
}

// The episode is over. True when it must go on all the same.
bool leave_recovery(Ack& a) {
  Tcb& t = a.t;
  if (may_undo(a)) undo(a, false);
  else if (t.transit->rack.persist) --t.transit->rack.persist;
  if (must_stay(a)) return true;
  t.mode = Mode::open;
  t.sacks_reneged = false;
  return false;
}

// A partial ACK fills the hole by the original. True: nothing else is to be done about this ACK.
bool undo_partial(Ack& a) {
  Tcb& t = a.t;
  if (!t.undo_marked || !delayed_not_lost(a)) return false;
  note_reordering(t, a.prior_una, t.transit->board.fack(a.core.records));
  if (t.transit->board.again()) return true;
  forget_stamp_if_clean(a);
  undo(a, true);
  keep_open(t, a.core);
  return false;
}

bool undo_loss(Ack& a, bool by_frto) {
  Tcb& t = a.t;
  if (!by_frto && !may_undo(a)) return false;
  undo(a, true);
  a.core.counters.add(Counter::tcp_spurious_timeouts);
  t.unanswered = 0;
  if (must_stay(a)) return true;
  if (by_frto || t.sack) {
    t.mode = Mode::open;
    t.sacks_reneged = false;
  }
  return true;
}

// Reordering in segments cannot exceed what is out (Linux tcp_check_reno_reordering).
void limit_duplicates(Tcb& t, std::uint32_t more) {
  const std::uint32_t out = t.transit->board.out(), holes = std::min(std::max(t.transit->board.lost(), 1u), out);
  if (t.transit->board.sacked() + holes <= out) return;
  t.transit->board.set_sacked(out - holes);
  t.reordering = static_cast<std::uint16_t>(std::min<std::uint32_t>(out + more, reordering_max));
  t.reordering_seen = true;
}

void add_duplicates(Ack& a, unsigned count) {
  if (count == 0) return;
  Scoreboard& board = a.t.transit->board;
  const std::uint32_t before = board.sacked();
  board.set_sacked(before + count);
  limit_duplicates(a.t, 0);
  if (board.sacked() > before) a.news.delivered += board.sacked() - before;
}

// Without SACK: the head after three duplicates, and after each partial ACK (RFC 5681, RFC 6582).
void mark_head_lost(Tcb& t, Core& core, bool advanced) {
  if (!((t.mode < Mode::recovery && t.transit->board.sacked() >= t.reordering) ||
        (t.mode == Mode::recovery && advanced)))
    return;
  const std::uint32_t head = t.transit->board.head();
  const Record& record = core.records[head];
  if (record.is(is_lost)) return;
  if (record.segments > 1 && record.size() > t.segment_size)
    t.transit->board.split(core.records, head, record.begin + t.segment_size, t.segment_size);
  t.transit->board.mark_lost(core.records, head);
}

void identify_losses(Ack& a) {
  Tcb& t = a.t;
  if (t.transit->board.empty()) return;
  if (!t.sack) return mark_head_lost(t, a.core, a.news.advanced);
  if (!t.transit->rack.advanced || !t.transit->rack.valid) return;
  t.transit->rack.advanced = false;
  const std::uint32_t again = t.transit->board.again();
  const std::uint32_t wait =
      t.transit->board.detect_losses(a.core.records, t.transit->rack, reordering_window_us(t), a.news.now);
  if (wait) {
    set_reordering_timer(t, wait, a.now);
    a.news.set_timer = false;
  }
  if (again > t.transit->board.again()) a.news.retransmission_lost = true;
}

// F-RTO (RFC 5682 3.1, with SACK 3.2) and the end of a timeout's episode.
void process_loss(Ack& a, unsigned duplicates) {
  Tcb& t = a.t;
  const bool recovered = t.snd_una >= t.transit->recovery_point;
  if (a.news.advanced && undo_loss(a, false)) return;
  if (t.frto) {
    // 3.b: an original is acknowledged.
    if (a.news.original_acked && undo_loss(a, true)) return;
    if (t.snd_nxt > t.transit->recovery_point) {
      if (a.news.data_sacked || duplicates) t.frto = false;  // 3.a: the loss was real
    } else if (a.news.advanced && !recovered) {
      t.transit->recovery_point = t.snd_nxt;
      // 2.b: new data, if there is any and the window takes it; else the usual recovery.
      if (t.unsent() && t.snd_una + t.snd_wnd > t.snd_nxt) {
        a.resend = Resend::fresh;
        return;
      }
      t.frto = false;
    }
  }
  if (recovered) {
    leave_recovery(a);
    return;
  }
  if (!t.sack) {
    if (t.snd_nxt > t.transit->recovery_point && duplicates) add_duplicates(a, duplicates);
    else if (a.news.advanced) t.transit->board.set_sacked(0);
  }
  a.resend = Resend::lost;
}

// The head is sacked and not acknowledged: the peer may have dropped it. It gets a little time to say otherwise.
bool reneging(Ack& a) {
  if (!a.news.reneged || !a.news.advanced) return false;
  a.t.timer = Timer::retransmit;
  a.t.timer_at = a.now + std::max(a.t.rtt.smoothed() / 2, Nanos{10_ms});
  a.news.set_timer = false;
  return true;
}

// States that end when what was out at their beginning is acknowledged. True: nothing else is to be done.
bool leave_state(Ack& a) {
  Tcb& t = a.t;
  if (t.mode == Mode::open) {
    t.retransmit_ts_set = false;
    return false;
  }
  if (t.snd_una < t.transit->recovery_point) return false;
  if (t.mode == Mode::cwr) {
    // Until something above is acknowledged, so that CWR reached the receiver.
    if (t.snd_una == t.transit->recovery_point) return false;
    end_reduction(t);
    t.mode = Mode::open;
  } else if (t.mode == Mode::recovery) {
    if (!t.sack) t.transit->board.set_sacked(0);
    if (leave_recovery(a)) return true;
    end_reduction(t);
  }
  return false;
}

}  // namespace

std::uint32_t reordering_window_us(const Tcb& t) {
  // Where nothing was ever reordered, three sacked segments are proof enough (RFC 8985 6.2 step 4).
  if (!t.reordering_seen && (t.mode >= Mode::recovery || t.transit->board.sacked() >= t.reordering)) return 0;
  return std::min(t.rtt.min_us() / 4 * t.transit->rack.steps, t.rtt.smoothed_us());
}

void note_reordering(Tcb& t, Seq low, Seq high) {
  if (!(low < high)) return;
  const auto bytes = static_cast<std::uint32_t>(high - low);
  if (bytes > std::uint32_t{t.reordering} * t.segment_size)
    t.reordering = static_cast<std::uint16_t>(std::min<std::uint32_t>(t.segments_of(bytes), reordering_max));
  t.reordering_seen = true;
}

void remove_duplicates(Ack& a) {
  Scoreboard& board = a.t.transit->board;
  const std::uint32_t acked = a.news.acknowledged, sacked = board.sacked();
  if (acked > 0) {
    // One of them was the hole, the others had been counted.
    a.news.delivered += acked > sacked ? std::max(acked - sacked, 1u) : 1;
    board.set_sacked(sacked > acked - 1 ? sacked - (acked - 1) : 0);
  }
  limit_duplicates(a.t, acked);
}

void note_duplicate(Ack& a, Range range) {
  Tcb& t = a.t;
  if (!(range.begin < range.end) || range.size() > t.snd_wnd_max) return;
  std::uint32_t segments = 1;
  bool of_probe = false;
  if (range.size() > t.segment_size) segments = t.segments_of(range.size());
  else if (t.tail_probe_out && range.end == t.transit->tail_probe_end) of_probe = true;
  t.duplicates_told += segments;
  if (t.duplicates_told > t.retransmits) return;  // more than we ever sent twice
  if (!of_probe) t.transit->rack.dsack_seen = true;
  a.news.dsack = true;
  a.news.dsack_of_probe = of_probe;
  a.news.delivered += segments;
  const bool below = range.end <= a.prior_una;
  if (t.undo_marked && t.transit->undo_resends > 0 && range.end > t.transit->undo_marker &&
      (below || range.begin >= t.snd_una))
    t.transit->undo_resends = std::max(t.transit->undo_resends - static_cast<std::int32_t>(segments), 0);
  if (!below) t.transit->board.duplicated(a.core.records, range);
  a.core.counters.add(Counter::tcp_dsacks_received);
}

void judge_tail_probe(Ack& a) {
  Tcb& t = a.t;
  if (!t.tail_probe_out || a.s.ack < t.transit->tail_probe_end) return;
  if (!t.tail_probe_old || a.news.dsack_of_probe) {
    t.tail_probe_out = false;
  } else if (a.s.ack > t.transit->tail_probe_end) {
    // The probe repaired a loss that nothing else showed.
    begin_reduction(t);
    t.mode = Mode::cwr;
    end_reduction(t);
    keep_open(t, a.core);
    a.core.counters.add(Counter::tcp_tail_probe_recoveries);
  } else if (!a.news.advanced && !a.news.carries_data && !a.news.window_moved && !a.news.data_sacked) {
    t.tail_probe_out = false;  // the original and the probe both arrived
  }
}

// Whole: Linux's state machine, its order matters.
void judge(Ack& a, unsigned duplicates) {
  Tcb& t = a.t;
  if (t.transit->board.empty() && t.transit->board.sacked()) t.transit->board.set_sacked(0);
  if (a.news.echo) t.congestion.remember(0);  // what the network asked for is not undone
  if (reneging(a) || leave_state(a)) return;
  if (t.mode == Mode::recovery) {
    if (!a.news.advanced) {
      if (!t.sack) add_duplicates(a, duplicates);
    } else if (undo_partial(a)) {
      return;
    }
    if (undo_by_dsack(a)) try_to_open(a);
    identify_losses(a);
    if (t.mode != Mode::recovery) {
      if (!t.transit->board.lost()) return;
      enter_recovery(t, a.core, a.news.echo);
    }
    a.resend = Resend::lost;
    return;
  }
  if (t.mode == Mode::loss) {
    process_loss(a, duplicates);
    identify_losses(a);
    if (t.mode != Mode::open && !a.news.retransmission_lost) return;
  }
  if (!t.sack) {
    if (a.news.advanced) t.transit->board.set_sacked(0);
    add_duplicates(a, duplicates);
  }
  if (t.mode <= Mode::disorder) undo_by_dsack(a);
  identify_losses(a);
  if (!t.transit->board.lost()) return try_to_open(a);
  a.resend = Resend::lost;
  // A lost probe of the path's MTU is no congestion (RFC 4821 7.5).
  if (t.mtu_probe_out && t.mode < Mode::cwr && mtu_probe_lost(t, a.core, a.now)) return repair_without_reduction(t);
  enter_recovery(t, a.core, a.news.echo);
}

void repair_without_reduction(Tcb& t) {
  t.mode = Mode::loss;
  t.transit->recovery_point = t.snd_nxt;
  t.frto = t.undo_marked = false;
  t.resend = Resend::lost;
}

void reordering_over(Tcb& t, Core& core, Nanos now) {
  const std::uint32_t before = t.transit->board.in_flight();
  // What is left is judged by the ACKs to come, or by the retransmission timer.
  t.transit->board.detect_losses(core.records, t.transit->rack, reordering_window_us(t), stamp_of(now));
  if (t.transit->board.in_flight() == before) return;
  if (t.mtu_probe_out && mtu_probe_lost(t, core, now)) return repair_without_reduction(t);
  if (t.mode != Mode::recovery) {
    enter_recovery(t, core, false);
    t.congestion.reduce(1, t.transit->board.in_flight(), false, false);
  }
  t.resend = Resend::lost;
}

void enter_loss(Tcb& t, Core& core, Nanos now) {
  const bool began = t.mode < Mode::recovery;
  const std::uint32_t sacked = t.transit->board.sacked();
  if (core.records[t.transit->board.head()].is(is_sacked)) {  // the peer dropped what it had sacked (RFC 2018 8)
    t.transit->board.forget_sacks(core.records);
    t.sacks_reneged = true;
    t.transit->board.mark_timed_out(core.records, false, 0, stamp_of(now));
  } else {
    if (!t.sack) t.transit->board.set_sacked(0);
    t.transit->board.mark_timed_out(core.records, t.sack && t.transit->rack.valid, t.transit->rack.rtt, stamp_of(now));
  }
  // ssthresh is cut once in an episode.
  const bool cut =
      t.mode <= Mode::disorder || t.transit->recovery_point <= t.snd_una || (t.mode == Mode::loss && t.unanswered == 0);
  if (cut) begin_undo(t);
  t.congestion.timed_out(cut, t.transit->board.in_flight());
  if (t.mode <= Mode::disorder && sacked >= 3) t.reordering = std::min<std::uint16_t>(t.reordering, 3);
  t.mode = Mode::loss;
  t.transit->recovery_point = t.snd_nxt;
  t.tail_probe_out = false;
  t.cwr_due = t.ecn;
  t.frto = began || t.unanswered;
  t.resend = Resend::lost;
}

}  // namespace sluice::tcp
