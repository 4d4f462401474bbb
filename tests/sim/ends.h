// ends.h - what the two ends of one TCP connection hold of it, side by side: what the handshake agreed on must be the
// same in both, whatever way it went (by a SYN cookie, by a SYN that came twice), and segments are to be no larger than
// the other end said, nor smaller than any path may ask for.
#pragma once

#include <string>
#include <vector>

#include "l4/tcp/stack.h"

namespace sluice::sim {

// All connections of a stack.
std::vector<tcp::Info> connections_in(const tcp::Stack& stack, Nanos now);

// The MSS of a host's SYN, which offers `mss_max` at most, on Ethernet.
std::uint16_t offered_mss(std::uint16_t mss_max, bool ip4);

// Of connections that are open at both ends, the first difference; empty: there is none. `mss_max`: of the peers.
std::string difference(const std::vector<tcp::Info>& node, const std::vector<tcp::Info>& peers, std::uint16_t mss_max);

}  // namespace sluice::sim
