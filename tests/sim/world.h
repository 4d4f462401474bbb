// world.h - one seed: the node, clients on one side, backends on the other, bad links between, virtual time; run until
// every request has its right answer and nothing is left over.
//
// Checked as bytes come: what arrives is what was sent, in order, nothing twice. After every turn: no limit is
// exceeded. At the end: every request answered once and rightly, every pool, permit and packet buffer back, one policy
// alive. One thread; the seed decides everything, so a seed replays exactly.
#pragma once

#include <cstdint>

#include "tests/sim/node.h"
#include "tests/sim/outcome.h"
#include "tests/sim/trouble.h"

namespace sluice::sim {

Outcome run_seed(std::uint64_t seed, const Shrink& shrink, Shared& shared);

// The connections of a seed's plan, and one of them in words.
std::uint32_t connections_of(std::uint64_t seed);
std::string connection_text(std::uint64_t seed, std::uint32_t connection);

}  // namespace sluice::sim
