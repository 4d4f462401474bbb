// proxy.h - the proxy of the tcp scenario around its world: one worker, a listener, a cluster of one endpoint, and the
// loop that gives turns to the proxy and to its peers.
#pragma once

#include <fmt/format.h>

#include "perf/scenario.h"
#include "perf/tcp/world.h"

namespace sluice::perf {

struct ProxySpec {
  std::uint32_t connections = 4096;  // on both legs
  std::uint32_t exchanges = 2048;
};

RigSpec proxy_of(Port& port, const ProxySpec& spec);

// Turns and reactions in turn until done() says so. What nobody answers for 3 s, and what is wrong, ends the run.
template <typename Done>
Driven run_proxy(Rig& rig, TcpWorld& world, const Clock& clock, std::string_view what, Done&& done) {
  Driven driven;
  std::uint64_t seen = ~std::uint64_t{0}, since = rte_rdtsc();
  while (!done()) {
    rig.turn(0, {}, driven);
    world.react(clock.now());
    if (!world.fault().empty()) give_up(fmt::format("tcp {}: {}; {}", what, world.fault(), rig.drops()));
    const std::uint64_t progress = world.body_bytes() + world.closed() + world.frames_in();
    if (progress != seen) seen = progress, since = rte_rdtsc();
    else if (rte_rdtsc() - since > 3 * rte_get_tsc_hz())
      give_up(fmt::format("tcp {}: nothing for 3 s after {} answers; {}; {}", what, world.answered(),
                          world.first_waiting(), rig.drops()));
  }
  return driven;
}

// million.cc
void measure_million(Ground& ground);
// engine.cc
void measure_segments(Ground& ground);
// flood.cc
void measure_flood(Ground& ground);
// churn.cc
void measure_churn(Ground& ground);

}  // namespace sluice::perf
