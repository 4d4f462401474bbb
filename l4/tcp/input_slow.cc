// input_slow.cc - RFC 9293 3.10.7.3 (SYN-SENT) and 3.10.7.4 (all later states) in the RFC's order, with RFC 7323's PAWS
// before the first step and RFC 5961's challenge ACKs in the second, fourth and fifth. A state machine that reads
// better whole.
#include "l4/tcp/engine.h"
#include "l4/tcp/stack.h"

namespace sluice::tcp {

namespace {

// RFC 5961: an ACK that a blind attacker cannot use, at most two a second and connection, and bounded for the worker.
Verdict challenge(Tcb& t, Core& core, Nanos now) {
  const auto ms = static_cast<std::uint32_t>(now.millis());
  if (ms - t.challenge_ms < 500 && t.challenge_ms != 0) return Verdict::kept;
  if (!core.challenges.allow(now)) return Verdict::kept;
  t.challenge_ms = ms ? ms : 1;
  core.counters.add(Counter::tcp_challenge_acks);
  t.acknowledge_now();
  return Verdict::kept;
}

// RFC 6298 3: from timestamps where the SYN or SYN-ACK was sent more than once (Karn).
void handshake_rtt(Tcb& t, const Segment& s, const Core& core, Nanos now) {
  Nanos took = Nanos::never();
  if (t.back_off == 0) took = now - t.progress_at;  // when the SYN or SYN-ACK left
  else if (t.timestamps && s.options.has_timestamps && s.options.ts_echo)
    took = Nanos{1'000'000} * std::int64_t{std::max(t.ts_now(now) - s.options.ts_echo, 1u)};
  if (took >= Nanos{} && took < 60_s) {
    t.rtt.sample_min(static_cast<std::uint32_t>(took.micros()), now);
    t.rtt.sample(took, core.config.rto_min, t.snd_una, t.snd_nxt);
  } else {
    t.rtt.fall_back();
  }
}

void become_established(Tcb& t, const Segment& s, Core& core, Nanos now) {
  t.state = State::established;
  t.handshake_due = false;
  t.snd_una = s.ack;
  t.start_queue(t.snd_una);
  t.snd_wnd = std::uint32_t{s.window} << (s.has(flag_syn) ? 0 : t.snd_scale);
  t.snd_wnd_max = t.snd_wnd;
  t.snd_wl1 = s.seq;
  t.snd_wl2 = s.ack;
  t.round_end = t.snd_nxt;
  handshake_rtt(t, s, core, now);
  t.progress_at = now;
  t.congestion.start(core.config.initial_window_segments);
  if (t.back_off > 1) t.congestion.start_after_loss();
  t.back_off = 0;
  t.last_sent_ms = static_cast<std::uint32_t>(now.millis());
  t.timer_at = Nanos::never();
  t.timer = Timer::none;
  restart_keepalive(t, core, now);
  t.events |= t.passive ? event_accepted : event_connected;
  core.counters.add(t.passive ? Counter::tcp_accepted : Counter::tcp_connected);
}

// An echo of a time at which no SYN of this connection was sent: an answer to one of long ago (as Linux).
bool echoes_another_syn(const Tcb& t, const Segment& s, const Core& core, Nanos now) {
  if (!core.config.timestamps || !s.options.has_timestamps || s.options.ts_echo == 0) return false;
  return t.ts_now(now) - s.options.ts_echo > static_cast<std::uint64_t>((now - t.progress_at).millis()) + 1;
}

Verdict syn_sent(Tcb& t, const Segment& s, Core& core, Nanos now) {
  // First: the ACK bit. Our SYN is all there is to acknowledge.
  if (s.has(flag_ack) && (s.ack != t.snd_nxt || echoes_another_syn(t, s, core, now)))
    return s.has(flag_rst) ? Verdict::kept : Verdict::refuse;
  // Second: the RST bit.
  if (s.has(flag_rst)) {
    if (!s.has(flag_ack)) return Verdict::kept;
    core.counters.add(Counter::tcp_refused);
    close(t, event_reset, core);
    return Verdict::closed;
  }
  // Fourth: the SYN bit. Data and FIN that come with it are left to the peer's retransmission.
  if (!s.has(flag_syn)) return Verdict::kept;
  t.rcv_nxt = s.seq + 1;
  t.rcv_edge = t.rcv_nxt + syn_window(core.settings[t.settings]);  // what our SYN offered
  t.last_ack_sent = t.rcv_nxt;
  accept_options(t, s.options, core, now);
  // RFC 3168 6.1.1: a SYN-ACK that agrees has ECE alone, a SYN that asks has both.
  t.ecn = t.ecn && s.has(flag_ece) && s.has(flag_cwr) == !s.has(flag_ack);
  if (t.ecn) core.counters.add(Counter::tcp_ecn_connections);
  if (s.has(flag_ack)) {
    become_established(t, s, core, now);
    t.acknowledge_now();
    return Verdict::kept;
  }
  t.state = State::syn_received;  // simultaneous open
  t.snd_wnd = s.window;
  t.handshake_due = true;
  return Verdict::kept;
}

// PAWS (RFC 7323 5.3). What was recent 24 days ago says nothing any more (5.5).
bool timestamp_older(const Tcb& t, const Segment& s, Nanos now) {
  const auto seconds = static_cast<std::uint32_t>(now.ns / 1'000'000'000);
  return static_cast<std::int32_t>(s.options.ts_value - t.ts_recent) < 0 && seconds - t.ts_recent_at < 24 * 86400;
}

// Sequence numbers that the window takes (RFC 9293 3.10.7.4, first).
bool acceptable(const Tcb& t, const Segment& s) {
  const std::uint32_t window = t.window(), length = s.length();
  const auto in_window = [&](Seq at) { return at >= t.rcv_nxt && at < t.rcv_nxt + window; };
  if (length == 0) {
    // On the right edge as well: a peer that has filled the window sends its ACKs from there (as Linux). No RST.
    return in_window(s.seq) || s.seq == t.rcv_nxt || (s.seq == t.rcv_nxt + window && !s.has(flag_rst));
  }
  if (window == 0) return s.seq == t.rcv_nxt;  // its ACK is processed, its text is not (below)
  return in_window(s.seq) || in_window(s.end() - 1) || (s.seq < t.rcv_nxt && s.end() > t.rcv_nxt + window);
}

void report_duplicate(Tcb& t, const Segment& s, Core& core) {
  if (s.size) quicken_acks(t, core.config.quick_acks);
  if (!t.sack || s.length() == 0 || s.has(flag_syn) || !(s.seq < t.rcv_nxt)) return;
  if (!wake(t, core)) return core.counters.add(Counter::tcp_no_transit);
  t.transit->dsack_begin = s.seq;  // RFC 2883 4; a FIN counts, as in Linux
  t.transit->dsack_end = earlier(s.end(), t.rcv_nxt);
  t.dsack_due = true;
}

// How far behind SND.UNA an ACK may be a late one: within the largest window, and of bytes that were sent (as Linux).
std::uint32_t oldest_ack(const Tcb& t) {
  const std::uint64_t acknowledged = t.bytes_acknowledged + (t.state == State::fin_wait_2 ? 1 : 0);
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(std::max(t.snd_wnd_max, 65535u), acknowledged));
}

// By an ACK. Without text it may be the other end's own answer of this kind: two confused ends must not storm.
Verdict answer_unacceptable(Tcb& t, const Segment& s, Core& core, Nanos now) {
  if (s.length() == 0 || s.has(flag_syn)) return challenge(t, core, now);
  report_duplicate(t, s, core);
  t.acknowledge_now();
  return Verdict::kept;
}

bool crossing_syn_ack(const Tcb& t, const Segment& s) {
  return (s.flags & (flag_syn | flag_ack | flag_rst | flag_fin)) == (flag_syn | flag_ack) && s.size == 0 &&
         s.seq + 1 == t.rcv_nxt && s.ack == t.snd_nxt;
}

Verdict fin_arrived(Tcb& t, Core& core, Nanos now) {
  t.rcv_nxt += 1;
  drop_out_of_order(t, core);  // of a peer that sent beyond its end
  t.fin_received = true;
  t.fin_seen = false;
  t.dsack_due = false;  // as in Linux: who sent the last byte has nothing to learn from it
  t.rcv_edge = later(t.rcv_edge, t.rcv_nxt);
  t.events |= event_finished;
  // Behind data that was answered its ACK may ride on ours, or on our FIN; as Linux. Otherwise at once.
  const Nanos delay = core.settings[t.settings].delayed_ack;
  if (t.state == State::established && t.last_received_ms && t.window() && t.unacknowledged() <= t.rcv_mss &&
      delay > Nanos{}) {
    acknowledge_later(t, core, now + delay);
  } else {
    t.acknowledge_now();
  }
  switch (t.state) {
    case State::syn_received:
    case State::established: t.state = State::close_wait; return Verdict::kept;
    case State::fin_wait_1:
      t.state = State::closing;  // our FIN is not acknowledged, or it had been fin_wait_2 by now
      return Verdict::kept;
    case State::fin_wait_2: return Verdict::time_wait;
    default: return Verdict::kept;
  }
}

// Our FIN is acknowledged.
Verdict fin_acknowledged(Tcb& t, Core& core, Nanos now) {
  switch (t.state) {
    case State::fin_wait_1:
      t.state = State::fin_wait_2;
      if (t.released) t.idle_at = now + core.config.fin_wait_2;
      return Verdict::kept;
    case State::closing: return Verdict::time_wait;
    case State::last_ack: close(t, 0, core); return Verdict::closed;
    default: return Verdict::kept;
  }
}

Verdict text_and_fin(Tcb& t, const Segment& s, Packet packet, Core& core, Nanos now) {
  const bool receives = t.state == State::established || t.state == State::fin_wait_1 || t.state == State::fin_wait_2;
  if (!receives) {
    if (s.seq < t.rcv_nxt && s.length()) t.acknowledge_now();  // the FIN again, and more: or it would come for ever
    return Verdict::kept;
  }
  // Seventh: the text, what of it is new and in the window.
  const std::uint32_t skip = s.seq < t.rcv_nxt ? static_cast<std::uint32_t>(t.rcv_nxt - s.seq) : 0;
  if (skip > 0) {
    report_duplicate(t, s, core);
    t.acknowledge_now();
  }
  std::uint32_t size = s.size > skip ? s.size - skip : 0;
  const Seq begin = s.seq + skip, edge = t.rcv_nxt + t.window();
  const bool cut = begin + size > edge;
  if (cut) {
    size = edge > begin ? static_cast<std::uint32_t>(edge - begin) : 0;
    t.acknowledge_now();
  }
  // Behind a FIN that waits there is nothing (Linux forgets it with what was queued behind the FIN).
  if (t.fin_seen && begin + size > t.transit->fin_seq) {
    size = t.transit->fin_seq > begin ? static_cast<std::uint32_t>(t.transit->fin_seq - begin) : 0;
    t.acknowledge_now();
  }
  if (size > 0) {
    if (t.released) {  // nobody will ever read it (RFC 9293 3.6.1, as Linux)
      close(t, 0, core);
      return Verdict::refuse;
    }
    deliver(t, s, std::move(packet), skip, size, core, now);
  }
  // Eighth: the FIN, when all before it is here.
  if (s.has(flag_fin) && !cut) {
    if (s.seq + s.size == t.rcv_nxt) return fin_arrived(t, core, now);
    const Seq at = s.seq + s.size;
    if (!wake(t, core)) {
      core.counters.add(Counter::tcp_no_transit);  // the peer sends it again
    } else if (!t.fin_seen || at < t.transit->fin_seq) {
      t.fin_seen = true;
      t.transit->fin_seq = at;
      drop_out_of_order_behind(t, at, core);
    }
  }
  if (t.fin_seen && t.transit->fin_seq == t.rcv_nxt) return fin_arrived(t, core, now);
  if (s.has(flag_fin)) t.acknowledge_now();
  return Verdict::kept;
}

}  // namespace

[[gnu::cold, gnu::noinline]] Verdict input_slow(Tcb& t, const Segment& s, Packet packet, Core& core, Nanos now) {
  if (t.state == State::closed) return Verdict::refuse;
  if (t.state == State::syn_sent) return syn_sent(t, s, core, now);

  // PAWS, before anything else; never for a RST.
  if (t.timestamps && !s.has(flag_rst)) {
    if (!s.options.has_timestamps) {
      core.counters.add(Counter::drop_tcp_no_timestamp);
      return Verdict::kept;
    }
    if (timestamp_older(t, s, now)) {
      core.counters.add(Counter::drop_tcp_paws);
      return answer_unacceptable(t, s, core, now);
    }
  }
  // The SYN-ACK of a simultaneous open (RFC 9293 3.5, figure 7): its SYN is known, the ACK beside it opens.
  if (t.state == State::syn_received && !t.passive && crossing_syn_ack(t, s)) {
    become_established(t, s, core, now);
    t.acknowledge_now();
    return Verdict::kept;
  }
  // First: the sequence number.
  if (!acceptable(t, s)) {
    core.counters.add(Counter::drop_tcp_out_of_window);
    if (s.has(flag_rst)) return Verdict::kept;
    return answer_unacceptable(t, s, core, now);
  }
  // Second: RST, by the exact number only (RFC 5961 3.2).
  if (s.has(flag_rst)) {
    if (s.seq != t.rcv_nxt) return challenge(t, core, now);
    core.counters.add(Counter::tcp_resets_received);
    close(t, event_reset, core);
    return Verdict::closed;
  }
  // Fourth: SYN (RFC 5961 4.2).
  if (s.has(flag_syn)) return challenge(t, core, now);
  // Fifth: ACK.
  if (!s.has(flag_ack)) return Verdict::kept;
  if (t.state == State::syn_received) {
    if (!(t.snd_una < s.ack && s.ack <= t.snd_nxt)) return Verdict::refuse;
    become_established(t, s, core, now);
  }
  if (s.ack > t.snd_nxt) {  // of what we have not sent
    core.counters.add(Counter::drop_tcp_unsent_ack);
    return challenge(t, core, now);
  }
  if (s.ack < t.snd_una - oldest_ack(t)) return challenge(t, core, now);  // RFC 5961 5.2
  if (t.timestamps && s.seq <= t.last_ack_sent && !timestamp_older(t, s, now)) {
    t.ts_recent = s.options.ts_value;
    t.ts_recent_at = static_cast<std::uint32_t>(now.ns / 1'000'000'000);
  }
  restart_keepalive(t, core, now);
  process_ack(t, s, core, now);
  if (t.fin_sent() && t.snd_una == t.snd_nxt) {
    const Verdict verdict = fin_acknowledged(t, core, now);
    if (verdict != Verdict::kept) return verdict;
  }
  // Sixth: URG is not looked at; urgent data passes in line.
  return text_and_fin(t, s, std::move(packet), core, now);
}

}  // namespace sluice::tcp
