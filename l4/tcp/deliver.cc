// The payload half of the engine: in-order data to the receive queue, the rest to reassembly, and the window that
// follows.
#include "l4/tcp/engine.h"
#include "l4/tcp/stack.h"

namespace sluice::tcp {

namespace {

// The payload alone, [skip, skip + size) of it.
Chain payload_of(const Segment& s, Packet packet, std::uint32_t skip, std::uint32_t size) {
  rte_mbuf* mbuf = packet.get();
  const std::uint32_t behind = packet.size() - packet.meta().payload_offset - s.size;
  mbuf->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
  rte_pktmbuf_adj(mbuf, packet.meta().payload_offset);
  Chain out{std::move(packet)};
  if (behind) out.trim_back(behind);  // Ethernet padding
  out.trim_front(skip);
  if (out.size() > size) out.trim_back(out.size() - size);
  return out;
}

std::uint32_t own_buffers(const Tcb& t) { return t.unconsumed_buffers + t.transit->reassembly.buffers(); }
std::uint32_t charge(const Tcb& t) { return own_buffers(t) * buffer_charge; }

void add_quick_acks(Tcb& t, unsigned most) {
  const unsigned fit = std::max(t.window() / (2u * t.rcv_mss), 2u);
  t.quick_acks = static_cast<std::uint8_t>(std::max<unsigned>(t.quick_acks, std::min(fit, most)));
}

// RFC 3168 6.1.3: ECE from a mark until the peer's CWR.
void note_ecn(Tcb& t, const Segment& s, Core& core) {
  if (s.has(flag_cwr)) {
    t.echo_due = false;
    t.acknowledge_now();  // its window may be very small now
  }
  if (s.ecn == EcnField::marked) {
    core.counters.add(Counter::tcp_ecn_marks_received);
    if (!t.echo_due) quicken_acks(t, std::min<unsigned>(core.config.quick_acks, 2));
    t.echo_due = true;
  } else if (s.ecn == EcnField::not_capable && t.ect_seen) {
    quicken_acks(t, std::min<unsigned>(core.config.quick_acks, 2));  // not capable where it was: sent again
  }
  if (s.ecn != EcnField::not_capable) t.ect_seen = true;
}

void deliver_in_order(Tcb& t, Chain data, Core& core, Nanos now) {
  const std::uint32_t size = data.size();
  const std::uint32_t grown = append_received(t.received, std::move(data), core.buffers, core.counters);
  t.unconsumed_buffers += grown;
  core.held += grown;
  t.unconsumed_bytes += size;
  t.rcv_nxt += size;
  t.received_low += size;
  t.events |= event_readable;
  const auto ms = std::max(static_cast<std::uint32_t>(now.millis()), 1u);
  // The first data, or the first after a pause: the sender may be in slow start, every ACK helps it (RFC 5681 4.2 lets
  // us, Linux does).
  if (const std::uint32_t pause = ms - t.last_received_ms;
      core.config.quick_acks && !t.quick_acks_off &&
      (t.last_received_ms == 0 || pause > static_cast<std::uint32_t>(t.rto(core.config).millis())))
    add_quick_acks(t, core.config.quick_acks);
  t.last_received_ms = ms;
  const Nanos delay = core.settings[t.settings].delayed_ack;
  if (t.unacknowledged() > t.rcv_mss || delay == Nanos{} || (t.quick_acks && !t.quick_acks_off)) t.acknowledge_now();
  else acknowledge_later(t, core, now + delay);
}

void report_twice(Tcb& t, Range twice) {  // RFC 2883 4.1.2
  if (!t.sack || twice.begin == twice.end) return;
  t.transit->dsack_begin = twice.begin;
  t.transit->dsack_end = twice.end;
  t.dsack_due = true;
}

// What was waiting behind the hole that closed; the segment from `begin` on closed it, and may have filled more.
void take_waiting(Tcb& t, Seq begin, Core& core) {
  if (!t.dsack_due) report_twice(t, t.transit->reassembly.known(core.holes, begin, t.rcv_nxt));
  const std::uint32_t buffers = t.transit->reassembly.buffers(), before = t.received.segments();
  const std::uint32_t taken = t.transit->reassembly.take(core.holes, t.rcv_nxt, t.received);
  const std::uint32_t moved = t.received.segments() - before, left = t.transit->reassembly.buffers();
  core.out_of_order_held -= buffers - left;
  core.held -= buffers - left - moved;
  t.unconsumed_buffers += moved;
  t.unconsumed_bytes += taken;
  t.rcv_nxt += taken;
  t.received_low += taken;
  t.acknowledge_now();
}

void keep_out_of_order(Tcb& t, Seq begin, Chain data, Core& core) {
  // Each such segment is answered at once (RFC 5681 4.2); a peer without SACK counts the answers.
  if (t.sack) t.acknowledge_now();
  else if (t.acks_due < 16) ++t.acks_due;
  const Config& c = core.config;
  if (core.out_of_order_held >= c.out_of_order_buffers_max ||
      t.transit->reassembly.buffers() * buffer_charge >= c.out_of_order_limit || !wake(t, core)) {
    core.counters.add(Counter::drop_tcp_out_of_order);
    return;
  }
  report_twice(t, t.transit->reassembly.known(core.holes, begin, begin + data.size()));
  const std::uint32_t before = t.transit->reassembly.buffers();
  if (!t.transit->reassembly.insert(core.holes, begin, std::move(data), core.buffers, core.counters))
    core.counters.add(Counter::drop_tcp_out_of_order);
  core.held += t.transit->reassembly.buffers() - before;
  core.out_of_order_held += t.transit->reassembly.buffers() - before;
}

}  // namespace

void acknowledge_later(Tcb& t, Core& core, Nanos at) {
  if (t.ack_place != DelayedAcks::none) return;
  t.ack_place = core.acks.add(t, at);
  if (t.ack_place == DelayedAcks::none) t.acknowledge_now();
}

void owe_nothing(Tcb& t, Core& core) {
  if (t.ack_place != DelayedAcks::none) core.acks.remove(std::exchange(t.ack_place, DelayedAcks::none));
}

void quicken_acks(Tcb& t, unsigned most) {
  add_quick_acks(t, most);
  t.quick_acks_off = false;
}

void deliver(Tcb& t, const Segment& s, Packet packet, std::uint32_t skip, std::uint32_t size, Core& core, Nanos now) {
  bool admitted = core.admits(own_buffers(t));
  // Whoever holds what came too early may hold nothing else now: it goes for what is next in line, or the hole would
  // stay (RFC 2018 8: the peer still has it; as Linux tcp_prune_ofo_queue).
  if (!admitted && s.seq + skip == t.rcv_nxt && !t.transit->reassembly.empty()) {
    core.counters.add(Counter::drop_tcp_out_of_order, t.transit->reassembly.buffers());
    drop_out_of_order(t, core);
    admitted = core.admits(own_buffers(t));
  }
  if (!admitted || charge(t) >= 2 * core.settings[t.settings].receive_limit) {
    core.counters.add(admitted ? Counter::drop_tcp_charge : Counter::drop_tcp_held);
    t.acknowledge_now();
    return;
  }
  if (t.ecn) note_ecn(t, s, core);
  t.rcv_mss = static_cast<std::uint16_t>(std::clamp<std::uint32_t>(s.piece, t.rcv_mss, buffer_data_size));
  const Seq begin = s.seq + skip;
  Chain data = payload_of(s, std::move(packet), skip, size);
  if (begin != t.rcv_nxt) return keep_out_of_order(t, begin, std::move(data), core);
  deliver_in_order(t, std::move(data), core, now);
  if (!t.transit->reassembly.empty()) take_waiting(t, begin, core);
}

std::uint32_t window_to_offer(const Tcb& t, const Core& core) {
  const std::uint32_t offered = t.window(), used = charge(t), limit = core.receive_limit(core.settings[t.settings]);
  if (used >= limit) return offered;
  // As many bytes as would fill the free charge with segments of the size that the peer sends.
  const std::uint64_t free = std::uint64_t{limit - used} * t.rcv_mss / buffer_charge;
  const std::uint64_t room = std::min<std::uint64_t>(free, t.rcv_window - std::min(t.rcv_window, t.unconsumed_bytes));
  // The right edge moves by a segment or not at all (RFC 9293 3.8.6.2.2), and never back.
  const std::uint32_t step = std::min<std::uint32_t>(t.rcv_mss, limit / 4);
  if (room < offered + step) return offered;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(room, std::uint64_t{65535} << t.rcv_scale));
}

// What l7 took in a round trip is what the path and l7 can do: the window is to hold twice that, so that a sender whose
// window still doubles is not held back (Linux: tcp_rcv_space_adjust). It never shrinks; the charge bounds it.
void tune_window(Tcb& t, const Core& core, Nanos now) {
  if (now - t.taken_at < (t.rtt.known() ? t.rtt.smoothed() : Nanos{100_ms})) return;
  const auto taken = t.received_low - t.unconsumed_bytes;
  const std::uint32_t in_round = std::min(taken - t.taken_mark, core.settings[t.settings].receive_limit);
  t.rcv_window = std::clamp(2 * in_round + 16 * t.rcv_mss, t.rcv_window,
                            std::max(core.settings[t.settings].receive_limit, t.rcv_window));
  t.taken_mark = taken;
  t.taken_at = now;
}

void drop_out_of_order(Tcb& t, Core& core) {
  Reassembly& reassembly = t.transit->reassembly;
  if (reassembly.empty()) return;
  core.held -= reassembly.buffers();
  core.out_of_order_held -= reassembly.buffers();
  reassembly.clear(core.holes);
}

void drop_out_of_order_behind(Tcb& t, Seq end, Core& core) {
  Reassembly& reassembly = t.transit->reassembly;
  const std::uint32_t before = reassembly.buffers();
  reassembly.drop_behind(core.holes, end);
  core.held -= before - reassembly.buffers();
  core.out_of_order_held -= before - reassembly.buffers();
}

void consumed(Tcb& t, std::uint32_t bytes, Core& core, Nanos now) {
  bytes = std::min(bytes, t.unconsumed_bytes - std::min(t.unconsumed_bytes, t.received.size()));
  if (bytes == 0) return;
  const std::uint32_t freed =
      bytes == t.unconsumed_bytes
          ? t.unconsumed_buffers
          : static_cast<std::uint32_t>(std::uint64_t{t.unconsumed_buffers} * bytes / t.unconsumed_bytes);
  t.unconsumed_bytes -= bytes;
  t.unconsumed_buffers -= freed;
  core.held -= freed;
  tune_window(t, core, now);
  if (t.fin_received || t.state < State::established) return;
  // Tell the peer when the window grew by much, or had been nearly shut.
  const std::uint32_t offered = t.window(), now_offered = window_to_offer(t, core);
  const std::uint32_t gain = now_offered - offered;
  if (gain >= std::max<std::uint32_t>(2u * t.rcv_mss,
                                      std::min(core.receive_limit(core.settings[t.settings]), t.rcv_window) / 4) ||
      (offered < 2u * t.rcv_mss && gain >= t.rcv_mss))
    t.acknowledge_now();
}

}  // namespace sluice::tcp
