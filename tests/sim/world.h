// world.h - one seed: the node, clients on one side, backends on the other, bad links between, virtual time; run until
// every request has its right answer and nothing is left over.
//
// Checked as bytes come: what arrives is what was sent, in order, nothing twice. After every turn: no limit is
// exceeded. At the end: every request answered once and rightly, every pool, permit and packet buffer back, one policy
// alive. One thread; the seed decides everything, so a seed replays exactly.
#pragma once

#include <cstdint>
#include <string>

#include "tests/sim/node.h"

namespace sluice::sim {

struct Outcome {
  std::string failure;  // empty: all is well
  std::uint64_t connections = 0, proxied = 0, bytes = 0, proxied_bytes = 0, requests = 0;
  std::uint64_t losses = 0, reordered = 0, duplicated = 0, corrupted = 0, forged = 0, rtos = 0, probes = 0, swaps = 0,
                handoffs = 0, full_pools = 0, tcp_images = 0, tls_images = 0, key_updates = 0, vanished = 0, turns = 0;
  Nanos virtual_time{};

  void add(const Outcome& other);
};

Outcome run_seed(std::uint64_t seed, Shared& shared);

}  // namespace sluice::sim
