// l4.cc - the scenario l4: packets per second and core of full-NAT through the pipeline as shipped.
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <numeric>

#include "perf/l4/rte_hash_nat.h"
#include "perf/peers/testpmd.h"
#include "perf/scenario.h"

namespace sluice::perf {

namespace {

using namespace sluice::literals;

constexpr Nanos idle_timeout{3'600'000'000'000};

RigSpec node_of(std::vector<Port*> ports, std::uint16_t workers, std::uint32_t flow_capacity, bool verify) {
  RigSpec spec;
  spec.workers = workers;
  spec.ports = std::move(ports);
  spec.interfaces = {{0, 0, NatWorld::node_mac, 1500, {{IpAddress::from_v4(NatWorld::node), 24}}, no_port}};
  for (std::uint32_t i = 0; i < NatWorld::snat_addresses; ++i)
    spec.local.push_back({IpAddress::from_v4(NatWorld::first_snat + i), {NatWorld::snat_low, 65535}, LocalUse::snat});
  spec.policy.clusters.push_back({.name = "backends"});
  for (std::uint32_t i = 0; i < NatWorld::backends; ++i) {
    const Endpoint at{IpAddress::from_v4(NatWorld::first_backend + i), NatWorld::backend_port};
    spec.policy.endpoints.push_back(
        {.cluster = "backends", .name = fmt::format("b{}", i), .address = std::string{to_text(at).view()}});
  }
  mgmt::spec::Service service;
  service.name = "service";
  service.address = std::string{to_text(IpAddress::from_v4(NatWorld::vip)).view()};
  service.protocol = mgmt::spec::ServiceProtocol::udp;
  service.port = NatWorld::vip_port;
  service.cluster = "backends";
  service.timeouts.udp_ms = service.timeouts.udp_one_way_ms = static_cast<std::uint32_t>(idle_timeout.millis());
  spec.policy.services.push_back(service);
  spec.pipeline.verify_checksums = verify;
  spec.pipeline.forward.flows = flow_capacity;
  // What L4 does not use is kept small.
  spec.pipeline.tcp.connections = spec.pipeline.exchanges.connections = 1024;
  spec.pipeline.exchanges.exchanges = 256;
  spec.pipeline.tls.sessions = spec.pipeline.tls.hot_keys = spec.pipeline.tls.handshakes = 16;
  return spec;
}

std::vector<std::uint32_t> all_flows(std::uint32_t count) {
  std::vector<std::uint32_t> flows(count);
  std::iota(flows.begin(), flows.end(), 0u);
  return flows;
}

void demand(bool good, const Generator& port, const std::string& what) {
  if (!good || port.wrong() > 0)
    give_up(fmt::format("l4: {}: {} packets out, {} back, {} checked, {} wrong", what, port.sent(), port.returned(),
                        port.checked(), port.wrong()));
}

// Every flow once, each packet verified. The first time, flows are opened; the first packets of all wait for ARP.
template <typename Turn>
void check_pass(Generator& port, const std::string& what, Turn&& turn, std::uint64_t count = 0,
                std::uint32_t from = 0) {
  const std::uint64_t sent = port.sent(), back = port.returned();
  port.check(true);
  port.offer_in_order(count ? count : port.flow_count(), from);
  while (!port.done()) turn();
  turn();
  port.check(false);
  demand(port.returned() - back == port.sent() - sent, port, what);
}

// The stretch that was timed, once more and checked: its hash must be the one of the timed stretch.
template <typename Turn>
void replay(Generator& port, std::uint64_t packets, std::uint64_t timed_hash, const std::string& what, Turn&& turn) {
  const std::uint64_t hash = port.seen_hash(), back = port.returned();
  port.check(true);
  port.offer_again(packets);
  while (!port.done()) turn();
  turn();
  port.check(false);
  demand(port.returned() - back == packets, port, what + ", again");
  demand(port.seen_hash() - hash == timed_hash, port, what + ": timed packets differ from the same ones checked");
}

// Packets per second of the cycles given.
double rate(std::uint64_t packets, std::uint64_t cycles) {
  return static_cast<double>(packets) * static_cast<double>(rte_get_tsc_hz()) / static_cast<double>(cycles);
}

void pause_between_samples() { usleep(100'000); }  // real-time priority leaves the others their share

// The generator into its own sink: what the port costs alone.
double port_alone(Generator& port, std::uint64_t packets) {
  std::uint64_t cycles = 0;
  port.offer_random(packets);
  on_workers(1, [&](std::uint16_t) {
    std::array<rte_mbuf*, 32> frames;
    const std::uint64_t began = rte_rdtsc();
    while (!port.done()) port.transmit(0, {frames.data(), port.receive(0, frames, {})}, {});
    cycles = rte_rdtsc() - began;
  });
  return static_cast<double>(cycles) / static_cast<double>(packets);
}

struct NatCase {
  const char* name;
  std::uint32_t flows;
  bool hardware_checksums;
};

// One timed stretch through ours, in packets per second; checked afterwards.
double our_rate(Rig& rig, Generator& port, std::uint64_t packets, const char* name, Driven& driven) {
  const std::uint64_t back = port.returned(), hash = port.seen_hash();
  port.offer_random(packets);
  on_workers(1, [&](std::uint16_t) { driven = rig.drive(0, [&] { return port.done(); }); });
  demand(port.returned() - back == packets, port, fmt::format("{}: lost packets: {}", name, rig.drops()));
  Driven ignored;
  replay(port, packets, port.seen_hash() - hash, name, [&] { rig.turn(0, {}, ignored); });
  pause_between_samples();
  return rate(packets, driven.busy_tsc);
}

double peer_rate(RteHashNat& peer, Generator& port, std::uint64_t packets) {
  const std::uint64_t back = port.returned(), hash = port.seen_hash();
  std::uint64_t cycles = 0;
  port.offer_random(packets);
  on_workers(1, [&](std::uint16_t) {
    const std::uint64_t began = rte_rdtsc();
    while (peer.turn(port)) {}
    cycles = rte_rdtsc() - began;
  });
  demand(port.returned() - back == packets, port, "rte_hash_nat");
  replay(port, packets, port.seen_hash() - hash, "rte_hash_nat", [&] { peer.turn(port); });
  pause_between_samples();
  return rate(packets, cycles);
}

void full_nat(Ground& ground, const NatCase& c) {
  ground.report.progress(fmt::format("l4 {}: opening {} flows", c.name, c.flows));
  Generator port{all_flows(c.flows), ground.buffers, c.hardware_checksums};
  Rig rig{node_of({&port}, 1, c.flows + c.flows / 4 + 1024, true), ground.buffers, ground.clock};
  Driven last;
  const auto turn = [&] { rig.turn(0, {}, last); };
  port.offer_in_order(1);
  for (int i = 0; i < 100; ++i) turn();  // announcements, the first neighbour
  // Neighbours first: a flow of each backend is among the first hundred.
  port.offer_in_order(std::min(c.flows, 200u));
  while (!port.done()) turn();
  check_pass(port, c.name, turn);
  port.check_unique();

  Generator peer_port{all_flows(c.flows), ground.buffers, c.hardware_checksums};
  auto peer = RteHashNat::make(c.flows);
  if (peer) check_pass(peer_port, "rte_hash_nat", [&] { peer->turn(peer_port); });
  else ground.report.miss("l4", fmt::format("{} of rte_hash_nat", c.name), "no memory for its table");

  Figure figure{.scenario = "l4", .name = c.name, .unit = "packets/s/core", .peer = peer ? "rte_hash_nat" : ""};
  const auto packets = ground.options.pick<std::uint64_t>(3'000'000, 2'000'000, 200'000);
  for (unsigned sample = 0; sample <= ground.options.samples(); ++sample) {  // the first warms up
    const double ours = our_rate(rig, port, packets, c.name, last),
                 theirs = peer ? peer_rate(*peer, peer_port, packets) : 0;
    if (sample) figure.samples.push_back(ours);
    if (sample && peer) figure.peer_samples.push_back(theirs);
  }
  figure.result_hash = hash_text(port.backend_hash());
  figure.params.add("flows", c.flows)
      .add("packet", 64)
      .add("protocol", "udp4")
      .add("direction", "from client")
      .add("order", "random")
      .add("workers", 1)
      .add("load", last.load())
      .add("csum", c.hardware_checksums ? "hw" : "sw")
      .add("tso", "no")
      .add("packets_checked", static_cast<double>(port.checked()))
      .add("cycles_per_packet", static_cast<double>(rte_get_tsc_hz()) / figure.value());
  ground.report.add(std::move(figure));
}

void port_overhead(Ground& ground) {
  Figure figure{.scenario = "l4", .name = "port_overhead", .unit = "cycles/packet", .higher_is_better = false};
  Generator port{all_flows(10'000), ground.buffers, true};
  const auto packets = ground.options.pick<std::uint64_t>(10'000'000, 10'000'000, 500'000);
  for (unsigned sample = 0; sample < ground.options.samples(); ++sample) {
    figure.samples.push_back(port_alone(port, packets));
    pause_between_samples();
  }
  figure.params.add("flows", 10'000).add("packet", 64);
  ground.report.add(std::move(figure));
}

// Every packet the first of a flow; between samples, time passes and the flows age out.
void new_flows(Ground& ground) {
  const auto flows = ground.options.pick<std::uint32_t>(400'000, 400'000, 50'000);
  Generator port{all_flows(flows), ground.buffers, true};
  Rig rig{node_of({&port}, 1, flows + flows / 4, true), ground.buffers, ground.clock};
  Figure figure{.scenario = "l4", .name = "new_flows", .unit = "flows/s/core"};
  Driven driven;
  Nanos ahead{};
  for (unsigned sample = 0; sample <= ground.options.samples(); ++sample) {
    // Neighbours are unknown, or stale after the jump in time: a few packets to each, of which some die waiting.
    port.offer_in_order(1000);
    while (!port.done()) rig.turn(0, ahead, driven);
    for (int i = 0; i < 10; ++i) rig.turn(0, ahead, driven);
    const std::uint64_t back = port.returned(), before = rig.counters().get(Counter::l4_flows_opened),
                        hash = port.seen_hash();
    port.offer_in_order(flows - 1000, 1000);
    on_workers(1, [&](std::uint16_t) { driven = rig.drive(0, [&] { return port.done(); }, ahead); });
    const std::uint64_t made = rig.counters().get(Counter::l4_flows_opened) - before;
    demand(made == flows - 1000, port, fmt::format("new_flows: {} opened; {}", made, rig.drops()));
    demand(port.returned() - back == made, port, fmt::format("new_flows: lost packets: {}", rig.drops()));
    if (sample) figure.samples.push_back(rate(made, driven.busy_tsc));
    const std::uint64_t timed = port.seen_hash() - hash, checked_from = port.seen_hash();
    check_pass(port, "new_flows", [&] { rig.turn(0, ahead, driven); }, flows - 1000, 1000);
    demand(port.seen_hash() - checked_from == timed, port, "new_flows: first packets differ from later ones");
    port.forget();
    ahead = ahead + idle_timeout + idle_timeout;
    for (int i = 0; i < 4000 && rig.counters().get(Counter::l4_flows) > 0; ++i) {
      ahead = ahead + 10_ms;
      rig.turn(0, ahead, driven);
    }
    demand(rig.counters().get(Counter::l4_flows) == 0, port, "new_flows: flows do not age");
  }
  figure.params.add("flows", flows).add("protocol", "udp4").add("workers", 1).add("csum", "hw");
  ground.report.add(std::move(figure));
}

// Two queues, each with the flows that its worker owns by the symmetric hash, as a NIC with RSS would give them.
class TwoQueues final : public Port {
 public:
  TwoQueues(Generator& one, Generator& other) : queues_{&one, &other} {
    caps_ = one.caps();
    caps_.queues = 2;
  }
  std::uint16_t receive(std::uint16_t queue, std::span<rte_mbuf*> out, Nanos now) override {
    return queues_[queue]->receive(0, out, now);
  }
  std::uint16_t transmit(std::uint16_t queue, std::span<rte_mbuf*> frames, Nanos now) override {
    return queues_[queue]->transmit(0, frames, now);
  }

 private:
  Generator* queues_[2];
};

void two_workers(Ground& ground) {
  if (sysconf(_SC_NPROCESSORS_ONLN) < 2) return ground.report.miss("l4", "two_workers", "the machine has one CPU");
  constexpr std::uint32_t flows = 1'000'000;
  const auto count = ground.options.pick<std::uint32_t>(flows, flows, 20'000);
  std::vector<std::uint32_t> owned[2];
  for (std::uint32_t flow = 0; flow < count; ++flow) {
    const std::uint32_t hash =
        tuple_hash(IpAddress::from_v4(NatWorld::client_address(flow)), NatWorld::client_port(flow),
                   IpAddress::from_v4(NatWorld::vip), NatWorld::vip_port, Protocol::udp);
    owned[owner_of_hash(hash, 2)].push_back(flow);
  }
  Generator one_port{all_flows(count), ground.buffers, true};
  Rig one{node_of({&one_port}, 1, count + count / 4, true), ground.buffers, ground.clock};
  Generator left{owned[0], ground.buffers, true}, right{owned[1], ground.buffers, true};
  TwoQueues both_port{left, right};
  Rig both{node_of({&both_port}, 2, count, true), ground.buffers, ground.clock};
  Generator* ports[2] = {&left, &right};

  Driven ignored;
  for (Generator* port : {&one_port, &left, &right}) {
    const auto worker = static_cast<std::uint16_t>(port == &right);
    Rig& rig = port == &one_port ? one : both;
    const auto turn = [&] {
      rig.turn(worker, {}, ignored);
      if (&rig == &both) rig.turn(1 - worker, {}, ignored);
    };
    port->offer_in_order(200);
    while (!port->done()) turn();
    for (int i = 0; i < 10; ++i) turn();
    check_pass(*port, "two_workers", turn);
  }
  Figure figure{.scenario = "l4", .name = "two_workers", .unit = "ratio"};
  const auto packets = ground.options.pick<std::uint64_t>(2'000'000, 2'000'000, 200'000);
  const std::uint64_t lost = left.sent() + right.sent() - left.returned() - right.returned();  // waiting for ARP
  for (unsigned sample = 0; sample <= ground.options.samples(); ++sample) {
    Driven driven, halves[2];
    const double alone = our_rate(one, one_port, packets, "two_workers", driven);
    const std::uint64_t hashes[2] = {left.seen_hash(), right.seen_hash()};
    std::atomic<int> ready{0};
    for (Generator* port : ports) port->offer_random(packets);
    on_workers(2, [&](std::uint16_t worker) {
      ready.fetch_add(1);
      while (ready.load() < 2) {}
      halves[worker] = both.drive(worker, [&] { return ports[worker]->done(); });
    });
    if (sample)
      figure.samples.push_back((rate(packets, halves[0].busy_tsc) + rate(packets, halves[1].busy_tsc)) / alone);
    for (std::uint16_t worker = 0; worker < 2; ++worker)
      replay(*ports[worker], packets, ports[worker]->seen_hash() - hashes[worker], "two_workers",
             [&] { both.turn(worker, {}, ignored); });
    pause_between_samples();
  }
  demand(both.counters(0).get(Counter::handoff_sent) == 0, left, "two_workers: packets changed workers");
  demand(left.sent() + right.sent() - left.returned() - right.returned() == lost, right, both.drops());
  figure.params.add("flows", count).add("packet", 64).add("csum", "hw");
  ground.report.add(std::move(figure));
}

}  // namespace

void run_l4(Ground& ground) {
  port_overhead(ground);
  const auto many = ground.options.pick<std::uint32_t>(1'000'000, 1'000'000, 50'000);
  full_nat(ground, {"fullnat_10k", 10'000, true});
  full_nat(ground, {"fullnat_10k_sw_csum", 10'000, false});
  full_nat(ground, {"fullnat_1m", many, true});
  new_flows(ground);
  two_workers(ground);
  testpmd(ground);
}

}  // namespace sluice::perf
