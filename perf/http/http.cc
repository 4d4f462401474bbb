// http.cc - the scenario http: requests per second and core through the pipeline as shipped, beside HAProxy.
// Ours: the proxy's turns alone are timed; clients and backend (world.h) run between them on the same core, so the
// proxy finds its caches used by others. A turn finds what 100 closed-loop clients have sent meanwhile.
// HAProxy: a process of its own on loopback, its user and system time per request; wrk and nginx around it.
#include <fmt/format.h>
#include <unistd.h>

#include "perf/http/world.h"
#include "perf/peers/haproxy.h"
#include "perf/scenario.h"
#include "perf/world/node.h"

namespace sluice::perf {

namespace {

struct HttpCase {
  const char* name;
  bool close, hardware_checksums;
};

RigSpec proxy_of(HttpWorld& world) {
  return node_of(world, {.mac = HttpWorld::node_mac,
                         .address = HttpWorld::node,
                         .vip = HttpWorld::vip,
                         .backend = HttpWorld::backend,
                         .vip_port = HttpWorld::vip_port,
                         .backend_port = HttpWorld::backend_port,
                         .sources = {HttpWorld::source_low, HttpWorld::source_high}});
}

// Turns of the proxy and reactions of the world in turn, until all is answered.
Driven answer_all(Rig& rig, HttpWorld& world, const Clock& clock, std::uint64_t requests, const char* name) {
  Driven driven;
  world.offer(requests);
  std::uint64_t seen = world.answered(), since = rte_rdtsc();
  while (!world.done() && world.fault().empty()) {
    rig.turn(0, {}, driven);
    world.react(clock.now());
    if (world.answered() != seen) seen = world.answered(), since = rte_rdtsc();
    else if (rte_rdtsc() - since > 20 * rte_get_tsc_hz())
      give_up(fmt::format("http {}: no answer for 20 s after {}; {}", name, seen, rig.drops()));
  }
  if (!world.fault().empty())
    give_up(fmt::format("http {}: {} after {} answers; {}", name, world.fault(), world.answered(), rig.drops()));
  return driven;
}

void measure(Ground& ground, const HttpCase& c, Haproxy* haproxy) {
  const HttpWorldSpec spec{
      .connections = 100, .body = 128, .close = c.close, .hardware_checksums = c.hardware_checksums};
  HttpWorld world{spec, ground.buffers};
  Rig rig{proxy_of(world), ground.buffers, ground.clock};
  const auto requests = ground.options.pick<std::uint64_t>(200'000, 100'000, 5'000);
  const unsigned seconds = ground.options.pick(4u, 2u, 1u);
  Figure figure{.scenario = "http", .name = c.name, .unit = "requests/s/core"};
  Driven driven;
  std::string missing;
  std::vector<double> peer_load;
  answer_all(rig, world, ground.clock, 1, c.name);  // alone, so that nothing is lost while neighbours are resolved
  for (unsigned sample = 0; sample <= ground.options.samples(); ++sample) {  // the first warms up
    on_workers(1, [&](std::uint16_t) { driven = answer_all(rig, world, ground.clock, requests, c.name); });
    if (sample)
      figure.samples.push_back(static_cast<double>(requests) * static_cast<double>(rte_get_tsc_hz()) /
                               static_cast<double>(driven.busy_tsc));
    usleep(100'000);
    if (!haproxy || !sample) continue;
    const auto theirs = haproxy->drive(c.close, seconds);
    if (theirs) figure.peer_samples.push_back(theirs->requests), peer_load.push_back(theirs->load);
    else missing = theirs.error();
  }
  if (!missing.empty()) ground.report.miss("http", fmt::format("{} of haproxy", c.name), missing);
  else if (haproxy) figure.peer = "haproxy";  // all its answers were right
  figure.result_hash = hash_text(world.body_hash() / world.answered());
  figure.params.add("body", spec.body)
      .add("connections", spec.connections)
      .add("workers", 1)
      .add("csum", c.hardware_checksums ? "hw" : "sw")
      .add("tso", "no")
      .add("load", driven.load())
      .add("cycles_per_request", static_cast<double>(driven.busy_tsc) / static_cast<double>(requests))
      .add("requests_per_busy_turn", static_cast<double>(requests) / static_cast<double>(driven.busy_turns))
      .add("frames_per_request",
           static_cast<double>(world.frames_in() + world.frames_out()) / static_cast<double>(world.answered()))
      .add("segments_sent_again", static_cast<double>(world.repeated()));
  if (!figure.peer.empty())
    figure.params.add("peer_load", median(peer_load))
        .add("peer_measure", "requests per second of user and system time of the process, loopback");
  ground.report.add(std::move(figure));
}

}  // namespace

void run_http(Ground& ground) {
  auto haproxy = Haproxy::start();
  Haproxy* peer = haproxy ? haproxy->get() : nullptr;
  if (!peer) ground.report.miss("http", "haproxy", haproxy.error());
  measure(ground, {"h1_keepalive", false, true}, peer);
  measure(ground, {"h1_keepalive_sw_csum", false, false}, nullptr);
  measure(ground, {"h1_close", true, true}, peer);
}

}  // namespace sluice::perf
