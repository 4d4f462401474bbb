// flow_phase.h - what a flow's packets say about how long it lives. A pure function of what was seen and the next
// packet. TCP by flags: SYN until the client answers the backend, then established; from a FIN either way on closing;
// closed once both FINs are acknowledged, or by a RST. While one of them is not, data before it may still be on its
// way again, however long its sender waits. A RST counts where it stands behind what its sender sent last (RFC 5961:
// the receiver takes no other; what it answers otherwise brings the right one), but for data sent again (note_end).
// Even that one may end nothing, of sequence numbers only the low half is kept, or answer a forged ACK in SYN-RECEIVED:
// when anything else comes behind it, the flow is where it was before, and whoever is really gone answers that by the
// next RST.
#pragma once

#include "dataplane/packet/wire/tcp.h"
#include "l4/flow_table.h"

namespace sluice {

// Bits of Flow::seen.
enum Seen : std::uint8_t {
  seen_reply = 1,
  seen_client_fin = 2,
  seen_backend_fin = 4,
  seen_established = 8,
  seen_client_fin_acked = 16,
  seen_backend_fin_acked = 32,
  seen_reset = 64
};

// The number behind a segment (behind its SYN or FIN) and the one that it acknowledges, their low halves: who
// acknowledges a FIN names its end.
struct TcpEdges {
  std::uint16_t end = 0, ack = 0;
  bool data = false;  // it has payload
};

constexpr Nanos timeout_of(const FlowTimeouts& timeouts, FlowPhase phase) {
  switch (phase) {
    case FlowPhase::tcp_syn: return timeouts.tcp_syn;
    case FlowPhase::tcp_established: return timeouts.tcp_established;
    case FlowPhase::tcp_fin: return timeouts.tcp_fin;
    case FlowPhase::tcp_closed: return timeouts.tcp_closed;
    case FlowPhase::udp_one_way: return timeouts.udp_one_way;
    case FlowPhase::udp: return timeouts.udp;
  }
  return {};
}

constexpr FlowPhase first_phase(Protocol protocol) {
  return protocol == Protocol::tcp ? FlowPhase::tcp_syn : FlowPhase::udp_one_way;
}

constexpr bool ends_both_ways(std::uint8_t seen) { return (seen & seen_client_fin) && (seen & seen_backend_fin); }

// A keepalive probe stands one below what was sent last.
constexpr bool stands_behind(std::uint16_t end, std::uint16_t last) {
  return static_cast<std::uint16_t>(end - last) <= 1;
}

inline SharedWord<std::uint16_t>& end_of(FlowEnds& ends, bool client) {
  return client ? ends.tcp.client : ends.tcp.backend;
}

// Keeps what a side sent furthest. Data may be sent again: it moves that number forward alone, and not far, since half
// a number tells what is far ahead from what is far behind no better. Anything else stands behind all that was sent,
// and is believed; so are data that stand elsewhere once they are many in a row: then the number kept was forged, or
// much got lost before it came here.
inline void note_end(FlowEnds& ends, bool by_client, TcpEdges edges, std::uint8_t tcp_flags) {
  constexpr std::uint16_t ahead_max = 16'384;
  constexpr unsigned passed_over_max = 15;  // four bits a side
  SharedWord<std::uint16_t>& own = end_of(ends, by_client);
  const unsigned shift = by_client ? 0 : 4, before = ends.passed_over.get(), passed = before >> shift & passed_over_max;
  const bool again = edges.data && !(tcp_flags & (wire::Tcp::syn | wire::Tcp::fin)) &&
                     static_cast<std::uint16_t>(edges.end - own.get()) > ahead_max && passed < passed_over_max;
  if (!again) own.set(edges.end);
  const unsigned after = (before & ~(passed_over_max << shift)) | (again ? passed + 1 : 0) << shift;
  if (after != before) ends.passed_over.set(static_cast<std::uint8_t>(after));
}

// `ends`: the flow's.
constexpr FlowPhase next_phase(FlowPhase phase, std::uint8_t& seen, FlowEnds& ends, Direction direction,
                               std::uint8_t tcp_flags, TcpEdges edges) {
  if (direction == Direction::from_backend) seen |= seen_reply;
  if (phase == FlowPhase::udp || phase == FlowPhase::udp_one_way)
    return seen & seen_reply ? FlowPhase::udp : FlowPhase::udp_one_way;
  const bool by_client = direction == Direction::from_client;
  const std::uint8_t own_fin = by_client ? seen_client_fin : seen_backend_fin;
  if (tcp_flags & wire::Tcp::rst) {
    if (phase != FlowPhase::tcp_syn && !stands_behind(edges.end, end_of(ends, by_client).get())) return phase;
    seen |= seen_reset;
    return FlowPhase::tcp_closed;
  }
  if (seen & seen_reset) {  // it ended nothing
    seen &= static_cast<std::uint8_t>(~seen_reset);
    phase = seen & seen_established ? FlowPhase::tcp_established : FlowPhase::tcp_syn;
  }
  if (tcp_flags & wire::Tcp::fin) seen |= own_fin;
  if (!(seen & own_fin) || (tcp_flags & wire::Tcp::fin)) note_end(ends, by_client, edges, tcp_flags);
  if ((tcp_flags & wire::Tcp::ack) && (seen & (seen_client_fin | seen_backend_fin))) {
    const std::uint8_t fin = by_client ? seen_backend_fin : seen_client_fin;
    const std::uint8_t acked = by_client ? seen_backend_fin_acked : seen_client_fin_acked;
    const bool names_it = (seen & fin) && edges.ack == end_of(ends, !by_client).get();
    seen = static_cast<std::uint8_t>(names_it ? seen | acked : seen & ~acked);
  }
  if ((seen & seen_client_fin_acked) && (seen & seen_backend_fin_acked)) return FlowPhase::tcp_closed;
  if (seen & (seen_client_fin | seen_backend_fin)) return FlowPhase::tcp_fin;
  const bool client_answers =
      direction == Direction::from_client && !(tcp_flags & wire::Tcp::syn) && (seen & seen_reply);
  if (phase == FlowPhase::tcp_syn && client_answers) {
    seen |= seen_established;
    return FlowPhase::tcp_established;
  }
  return phase;
}

// A TCP flow that was reset before it came about. A backend in TIME-WAIT answers a SYN with the ACK of the old
// connection, the client resets that, which frees the backend's port, and sends its SYN again (RFC 9293 3.10.7.3): by
// the same flow, or it would meet the next port's TIME-WAIT.
constexpr bool never_opened(FlowPhase phase, std::uint8_t seen) {
  return phase == FlowPhase::tcp_closed && !(seen & (seen_established | seen_client_fin | seen_backend_fin));
}

// Whether a SYN of the client is a new connection's and no longer this one's.
constexpr bool over(FlowPhase phase, std::uint8_t seen) {
  return phase == FlowPhase::tcp_closed || (phase == FlowPhase::tcp_fin && ends_both_ways(seen));
}

// A flow that nobody has answered yet: the first to give way when the table is full.
constexpr bool unanswered(FlowPhase phase) { return phase == FlowPhase::tcp_syn || phase == FlowPhase::udp_one_way; }

}  // namespace sluice
