// draws.h - what a seed draws for its node, its links and its hosts; the plan is drawn in plan.h.
#pragma once

#include <initializer_list>

#include "tests/sim/node.h"
#include "tests/sim/peer.h"
#include "tests/sim/trouble.h"

namespace sluice::sim {

inline constexpr Nanos start{1'000'000'000};
inline constexpr Nanos patience{1'200'000'000'000};  // of virtual time, for everything: a request has 600 s

NodeSpec make_node_spec(std::uint64_t seed, Rng& rng, const Shrink& shrink);
// What the hosts of a seed offer at most.
std::uint16_t mss_of(std::uint64_t seed);
PeerSpec peer_spec(std::uint64_t seed, PortId port, const Shrink& shrink, std::initializer_list<const char*> addresses,
                   std::vector<std::uint16_t> listens);

}  // namespace sluice::sim
