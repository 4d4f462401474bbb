// tcp.cc - the scenario tcp: proxied connections a second and core, each opened, used for one request and closed on
// both legs; bulk through both legs, with and without TSO; what a segment costs; a million connections; a link with
// loss.
#include <rte_cycles.h>
#include <unistd.h>

#include "perf/tcp/proxy.h"
#include "perf/world/node.h"

namespace sluice::perf {

namespace {

double per_second(std::uint64_t work, const Driven& driven) {
  return static_cast<double>(work) * static_cast<double>(rte_get_tsc_hz()) / static_cast<double>(driven.busy_tsc);
}

struct ConnectionsCase {
  const char* name;
  bool hardware_checksums;
};

void measure_connections(Ground& ground, const ConnectionsCase& c) {
  constexpr std::uint32_t at_once = 256, clients = TcpWorld::ports_an_address;
  TcpWorld world{{.clients = clients, .close = true, .hardware_checksums = c.hardware_checksums}, ground.buffers};
  Rig rig{proxy_of(world, {}), ground.buffers, ground.clock};
  const auto wanted = ground.options.pick<std::uint64_t>(200'000, 60'000, 3'000);
  Figure figure{.scenario = "tcp", .name = c.name, .unit = "connections/s/core"};
  std::uint32_t next = 0;
  Driven driven;
  const auto some = [&](std::uint64_t count, std::uint32_t most) {
    const std::uint64_t until = world.closed() + count;
    std::uint64_t opened = 0;
    const auto open = [&] {
      world.open(next++ % clients);
      ++opened;
    };
    while (opened < std::min<std::uint64_t>(most, count)) open();
    return run_proxy(rig, world, ground.clock, c.name, [&] {
      for (const std::uint32_t client : world.done) {
        static_cast<void>(client);
        if (opened < count) open();
      }
      world.done.clear();
      return world.closed() >= until;
    });
  };
  some(1, 1);  // alone, so that nothing is lost while neighbours are resolved
  for (unsigned sample = 0; sample <= ground.options.samples(); ++sample) {  // the first warms up
    ground.report.progress(fmt::format("tcp {}: sample {}", c.name, sample));
    const std::uint64_t backend = world.accepted();
    on_workers(1, [&](std::uint16_t) { driven = some(wanted, at_once); });
    if (world.accepted() - backend != wanted)
      give_up(fmt::format("tcp {}: {} connections to the backend for {}", c.name, world.accepted() - backend, wanted));
    if (sample) figure.samples.push_back(per_second(wanted, driven));
  }
  figure.result_hash = hash_text(world.result_hash());
  figure.params.add("at_once", at_once)
      .add("body", 128)
      .add("workers", 1)
      .add("csum", c.hardware_checksums ? "hw" : "sw")
      .add("tso", "no")
      .add("load", driven.load())
      .add("cycles_per_connection", static_cast<double>(driven.busy_tsc) / static_cast<double>(wanted))
      .add("connections_per_busy_turn", static_cast<double>(wanted) / static_cast<double>(driven.busy_turns))
      .add("segments_sent_again", static_cast<double>(world.repeated()))
      .add("frames_per_connection",
           static_cast<double>(world.frames_in() + world.frames_out()) / static_cast<double>(world.closed()));
  ground.report.add(std::move(figure));
}

struct BulkCase {
  const char* name;
  bool tso, hardware_checksums;
};

// Bodies of 16 MB from the backend to the clients. What a client has read it asks for again.
void measure_bulk(Ground& ground, const BulkCase& c) {
  constexpr std::uint32_t clients = 8;
  constexpr std::uint64_t body = 16'000'000;
  TcpWorld world{{.clients = clients, .body = body, .hardware_checksums = c.hardware_checksums, .tso = c.tso},
                 ground.buffers};
  Rig rig{proxy_of(world, {}), ground.buffers, ground.clock};
  const auto wanted = ground.options.pick<std::uint64_t>(4'000'000'000, 1'000'000'000, 30'000'000);
  Figure figure{.scenario = "tcp", .name = c.name, .unit = "bit/s/core"};
  const auto some = [&](std::uint64_t bytes) {
    const std::uint64_t until = world.body_bytes() + bytes;
    return run_proxy(rig, world, ground.clock, c.name, [&] {
      for (const std::uint32_t client : world.done) world.ask(client);
      world.done.clear();
      return world.body_bytes() >= until;
    });
  };
  world.open(0);  // alone, so that nothing is lost while neighbours are resolved
  some(1);
  for (std::uint32_t i = 1; i < clients; ++i) world.open(i);
  some(30'000'000);  // out of slow start
  const Counters& counters = rig.counters();
  const std::uint64_t copied = counters.get(Counter::payload_copied_bytes), before = world.body_bytes();
  Driven driven;
  std::uint64_t bytes = 0, segments = 0;
  for (unsigned sample = 0; sample < ground.options.samples(); ++sample) {
    ground.report.progress(fmt::format("tcp {}: sample {}", c.name, sample));
    bytes = world.body_bytes();
    segments = world.data_frames_out();
    on_workers(1, [&](std::uint16_t) { driven = some(wanted); });
    bytes = world.body_bytes() - bytes;
    segments = world.data_frames_out() - segments;
    figure.samples.push_back(8 * per_second(bytes, driven));
  }
  figure.result_hash = hash_text(world.result_hash());
  figure.params.add("mtu", 1500)
      .add("connections", clients)
      .add("workers", 1)
      .add("csum", c.hardware_checksums ? "hw" : "sw")
      .add("tso", c.tso ? "64 kB" : "no")
      .add("load", driven.load())
      .add("cycles_per_segment_received", static_cast<double>(driven.busy_tsc) / static_cast<double>(segments))
      .add("segments_sent_again", static_cast<double>(world.repeated()))
      .add("bytes_per_packet_sent",
           static_cast<double>(world.body_bytes()) / static_cast<double>(world.data_frames_in()))
      .add("copied_per_delivered_byte", static_cast<double>(counters.get(Counter::payload_copied_bytes) - copied) /
                                            static_cast<double>(world.body_bytes() - before));
  ground.report.add(std::move(figure));
}

// A transfer of 200 MB: bytes that were copied for each that was delivered. More than 1 % is a fault, not a figure.
void measure_copies(Ground& ground) {
  const auto body = ground.options.pick<std::uint64_t>(200'000'000, 200'000'000, 20'000'000);
  TcpWorld world{{.clients = 1, .body = body}, ground.buffers};
  Rig rig{proxy_of(world, {}), ground.buffers, ground.clock};
  world.open(0);
  on_workers(1, [&](std::uint16_t) {
    run_proxy(rig, world, ground.clock, "copied_bytes", [&] { return world.answered() == 1; });
  });
  const double copied =
      static_cast<double>(rig.counters().get(Counter::payload_copied_bytes)) / static_cast<double>(world.body_bytes());
  if (world.body_bytes() != body || copied >= 0.01)
    give_up(fmt::format("tcp copied_bytes: {} of {} bytes came, {} copied for each", world.body_bytes(), body, copied));
  Figure figure{.scenario = "tcp", .name = "copied_bytes", .unit = "bytes/byte", .higher_is_better = false};
  figure.samples.push_back(copied);
  figure.result_hash = hash_text(world.result_hash());
  figure.params.add("body", static_cast<double>(body));
  ground.report.add(std::move(figure));
}

}  // namespace

RigSpec proxy_of(Port& port, const ProxySpec& wanted) {
  RigSpec spec = node_of(port, {.mac = TcpWorld::node_mac,
                                .address = TcpWorld::node,
                                .vip = TcpWorld::vip,
                                .backend = TcpWorld::backend,
                                .prefix = 8,
                                .vip_port = TcpWorld::vip_port,
                                .backend_port = TcpWorld::backend_port,
                                .sources = {TcpWorld::source_low, TcpWorld::source_high}});
  spec.policy.clusters[0].max_connections = spec.policy.clusters[0].max_requests = 16'384;
  spec.pipeline.forward.flows = 1024;
  spec.pipeline.tcp.connections = spec.pipeline.exchanges.connections = wanted.connections;
  spec.pipeline.exchanges.exchanges = wanted.exchanges;
  return spec;
}

void run_tcp(Ground& ground) {
  const Options& options = ground.options;
  for (const ConnectionsCase& c : {ConnectionsCase{"connections", true}, ConnectionsCase{"connections_sw_csum", false}})
    if (options.wants(c.name)) measure_connections(ground, c);
  for (const BulkCase& c :
       {BulkCase{"bulk", false, true}, BulkCase{"bulk_tso", true, true}, BulkCase{"bulk_sw_csum", false, false}})
    if (options.wants(c.name)) measure_bulk(ground, c);
  if (options.wants("copied_bytes")) measure_copies(ground);
  if (options.wants("segments")) measure_segments(ground);
  if (options.wants("syn_flood")) measure_flood(ground);
  if (options.wants("churn_lossy")) measure_churn(ground);
  if (options.wants("million")) measure_million(ground);
}

}  // namespace sluice::perf
