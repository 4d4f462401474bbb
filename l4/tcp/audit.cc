// Whether what a Stack holds agrees with itself: for tests, which ask after every turn.
#include "l4/tcp/machine.h"
#include "l4/tcp/stack.h"

namespace sluice::tcp {

namespace {

// The scoreboard covers what was sent and not acknowledged: ranges in order, apart, their segments counted by mark.
const char* audit_board(const Tcb& t, const Records& records, std::uint32_t& used) {
  std::uint32_t out = 0, sacked = 0, lost = 0, again = 0;
  Seq last = t.snd_una;
  for (std::uint32_t i = t.transit->board.head(); i != no_slot; i = records[i].next, ++used) {
    const Record& r = records[i];
    if (r.end <= r.begin) return "an empty record on the scoreboard";
    if (r.begin < last) return "records of the scoreboard overlap, or lie before SND.UNA";
    if (r.end > t.snd_nxt) return "a record of what was never sent";
    last = r.end;
    out += r.segments;
    if (r.is(is_sacked)) sacked += r.segments;
    if (r.is(is_lost)) lost += r.segments;
    if (r.is(is_again)) again += r.segments;
    if (records[i].next == no_slot && t.transit->board.tail() != i)
      return "the scoreboard's tail is not its last record";
  }
  // Without SACK, `sacked` counts duplicate ACKs.
  if (out != t.transit->board.out() || lost != t.transit->board.lost() || again != t.transit->board.again() ||
      (t.sack && sacked != t.transit->board.sacked()))
    return "the scoreboard's sums are not those of its records";
  return nullptr;
}

const char* audit_reassembly(const Tcb& t, const Holes& holes, std::uint32_t& used) {
  std::uint32_t bytes = 0, buffers = 0;
  Seq last = t.rcv_nxt;
  for (std::uint32_t i = t.transit->reassembly.head(); i != no_slot; i = holes[i].next, ++used) {
    const Hole& hole = holes[i];
    if (hole.data.empty() || hole.begin <= last) return "out-of-order ranges overlap, touch or are due";
    last = hole.end();
    bytes += hole.data.size();
    buffers += hole.data.segments();
  }
  if (bytes != t.transit->reassembly.bytes() || buffers != t.transit->reassembly.buffers())
    return "the sums of out-of-order data are not those of its ranges";
  return nullptr;
}

const char* audit_sequences(const Tcb& t) {
  if (t.snd_nxt < t.snd_una) return "SND.NXT is before SND.UNA";
  if (t.rcv_edge < t.rcv_nxt && !t.fin_received) return "the receive window ends before RCV.NXT";
  if (t.received.size() > t.unconsumed_bytes) return "more bytes are received than charged";
  if (t.queue_end != t.queue.end()) return "the end of the send queue is not where it is said to be";
  if (t.state < State::established) return nullptr;
  if (t.queue.end() < t.snd_una && !t.fin_queued) return "bytes beyond the send queue are acknowledged";
  if (t.snd_nxt > t.queue.end() + (t.fin_queued ? 1 : 0)) return "bytes beyond the send queue are sent";
  return nullptr;
}

}  // namespace

const char* Stack::audit() const {
  Machine& m = *machine_;
  const char* fault = nullptr;
  std::uint32_t held = 0, out_of_order = 0, records = 0, holes = 0, transits = 0;
  const auto check = [&](bool holds, const char* text) {
    if (!holds && !fault) fault = text;
  };
  m.connections.each([&](Tcb& t) {
    const std::uint32_t index = m.index_of(t);
    transits += t.transit != &m.core.resting;
    held += t.queue.buffers() + t.transit->reassembly.buffers() + t.unconsumed_buffers;
    out_of_order += t.transit->reassembly.buffers();
    for (const char* found : {audit_board(t, m.core.records, records), audit_reassembly(t, m.core.holes, holes)})
      check(!found, found);
    check(t.ack_place == DelayedAcks::none || m.core.acks.holds(t.ack_place, t), "an ACK that is owed has no place");
    if (t.state == State::closed) {
      check(!t.in_table, "a closed connection can be found");
      check(t.transit->board.empty() && t.transit->reassembly.empty() && t.queue.size() == 0,
            "a closed connection holds data");
      check(!t.released || t.in_events || t.in_output, "a connection that nobody knows keeps its place");
      return;
    }
    const char* found = audit_sequences(t);
    check(!found, found);
    check(m.lookup(t.key, m.hash(t.key)) == value_of(Kind::connection, index), "a connection cannot be found");
    // The wheel comes round in time for the earliest deadline.
    if (!(t.deadline() == Deadline{}))
      check(m.wheel.armed(index) && m.wheel.deadline(index) <= t.deadline().nanos(m.latest),
            "a deadline that no timer keeps");
  });
  check(m.core.resting == Transit{}, "what all connections at rest share was written");
  check(transits == m.core.transits.used(), "a transit is lost or doubled");
  check(held == m.core.held, "the buffers held are not those of all queues");
  check(out_of_order == m.core.out_of_order_held, "the buffers held out of order are not those of all queues");
  check(records + m.core.records.left() == m.core.config.transmit_records, "a transmit record is lost or doubled");
  check(holes + m.core.holes.left() == m.core.config.out_of_order_buffers_max,
        "an out-of-order range is lost or doubled");
  std::uint32_t handshakes = 0;
  for (std::uint32_t i = m.oldest_handshake; i != no_slot; i = m.handshakes[i].next, ++handshakes) {
    const Handshake& h = m.handshakes[i];
    check(m.lookup(h.key, m.hash(h.key)) == value_of(Kind::handshake, i), "a half-open connection cannot be found");
    check(m.wheel.armed(m.core.config.connections + i), "a half-open connection without a timer");
  }
  check(handshakes == m.handshake_count && handshakes + m.handshakes.left() == m.core.config.handshakes,
        "a half-open connection is lost or doubled");
  std::uint32_t waits = 0;
  for (std::uint32_t i = m.time_waits.oldest(); i != no_slot; i = m.time_waits[i].next, ++waits)
    check(m.lookup(m.time_waits[i].key, m.hash(m.time_waits[i].key)) == value_of(Kind::time_wait, i),
          "a connection in TIME-WAIT cannot be found");
  check(waits == m.time_waits.size(), "a TIME-WAIT entry is lost or doubled");
  return fault;
}

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/input_slow_test.cc, tests/sim/planted.py.
