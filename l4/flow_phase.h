// flow_phase.h - what a flow's packets say about how long it lives. A pure function of what was seen and the next
// packet. TCP by flags alone: SYN until the client answers the backend, then established; a FIN either way, or FINs
// both ways or a RST. Sequence numbers are not looked at, so a forged RST shortens a flow's idle timeout; it ends
// nothing by itself.
#pragma once

#include "dataplane/packet/wire/tcp.h"
#include "l4/flow_table.h"

namespace sluice {

// Bits of Flow::seen.
enum Seen : std::uint8_t { seen_reply = 1, seen_client_fin = 2, seen_backend_fin = 4, seen_established = 8 };

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

constexpr FlowPhase next_phase(FlowPhase phase, std::uint8_t& seen, Direction direction, std::uint8_t tcp_flags) {
  if (direction == Direction::from_backend) seen |= seen_reply;
  if (phase == FlowPhase::udp || phase == FlowPhase::udp_one_way)
    return seen & seen_reply ? FlowPhase::udp : FlowPhase::udp_one_way;
  if (tcp_flags & wire::Tcp::rst) return FlowPhase::tcp_closed;
  if (tcp_flags & wire::Tcp::fin) seen |= direction == Direction::from_client ? seen_client_fin : seen_backend_fin;
  if (phase == FlowPhase::tcp_closed) return phase;
  if ((seen & seen_client_fin) && (seen & seen_backend_fin)) return FlowPhase::tcp_closed;
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

// A flow that nobody has answered yet: the first to give way when the table is full.
constexpr bool unanswered(FlowPhase phase) { return phase == FlowPhase::tcp_syn || phase == FlowPhase::udp_one_way; }

}  // namespace sluice
