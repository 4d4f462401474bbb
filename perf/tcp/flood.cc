// Requests on established connections with and without a SYN flood beside them, in turn (proof.md: established traffic
// at 5 % of the measured capacity, the flood at 50 %). Requests and SYNs come at random times of the worker's own
// clock, which counts what its turns take, idle ones too: the generator's work between them delays nobody. A response
// takes from the time its request was due to the end of the turn that sent the answer's last frame. A worker that
// another program kept from its CPU finds what piled up meanwhile: a request waits for an idle connection and counts
// from when it was due; of the SYNs as many as a NIC's queue holds, and the rest is lost before it.
#include <rte_cycles.h>

#include <algorithm>
#include <cmath>

#include "dataplane/base/rng.h"
#include "perf/tcp/proxy.h"

namespace sluice::perf {

namespace {

constexpr std::uint32_t clients = 1000, at_once = 64, syns_a_turn = 32, queue = 1024;
constexpr double established_share = 0.05, flood_share = 0.5;

struct Stretch {
  std::uint64_t answered = 0, syns = 0;
  std::vector<double> responses;  // cycles
  double load = 0;
};

class Flood {
 public:
  Flood(Ground& ground, TcpWorld& world, Rig& rig) : ground_(ground), world_(world), rig_(rig), due_(clients) {}

  void open() {
    // The first of an address is alone, so that nothing is lost while it is resolved.
    for (std::uint32_t client = 0; client < clients; ++client) {
      world_.open(client);
      if (client % at_once == 0) run([&] { return world_.answered() == client + 1; });
    }
    run([&] { return world_.answered() == clients; });
    world_.done.clear();
    world_.flood(1, rng_);
    for (int i = 0; i < 8; ++i) turn();
  }
  // Cycles of a request, of a SYN: the worker has as many as it can take.
  double request_cycles(std::uint64_t count) {
    const std::uint64_t answers = world_.answered() + count;
    std::uint64_t asked = 0;
    for (; asked < std::min<std::uint64_t>(at_once, count); ++asked) world_.ask(any_idle());
    const Driven driven = run([&] {
      for (std::size_t n = world_.done.size(); n > 0 && asked < count; --n, ++asked) world_.ask(any_idle());
      world_.done.clear();
      return world_.answered() == answers;
    });
    return static_cast<double>(driven.busy_tsc) / static_cast<double>(count);
  }
  double syn_cycles(std::uint64_t count) {
    driven_ = {};
    for (std::uint64_t sent = 0; sent < count; sent += syns_a_turn) {
      world_.flood(syns_a_turn, rng_);
      turn();
    }
    return static_cast<double>(driven_.busy_tsc) / static_cast<double>(count);
  }
  // `cycles` of the worker's clock; a mean distance of 0 is no flood.
  Stretch stretch(double cycles, double request_every, double syn_every) {
    Stretch out;
    double request_at = wait(request_every), syn_at = syn_every > 0 ? wait(syn_every) : cycles;
    std::uint64_t open = 0;
    driven_ = {};
    for (double now = 0; now < cycles || open; now = static_cast<double>(driven_.total_tsc)) {
      for (; request_at <= std::min(now, cycles) && open < clients; request_at += wait(request_every), ++open) {
        const std::uint32_t client = any_idle();
        due_[client] = request_at;
        world_.ask(client);
      }
      std::uint32_t syns = 0;
      for (; syn_at <= std::min(now, cycles) && syn_every > 0; syn_at += wait(syn_every)) ++syns;
      world_.flood(std::min(syns, queue), rng_);
      out.syns += std::min(syns, queue);
      turn();
      const auto then = static_cast<double>(driven_.total_tsc);
      for (const std::uint32_t client : world_.done) {
        --open;
        out.answered += then <= cycles;
        out.responses.push_back(then - due_[client]);
      }
      world_.done.clear();
      // Long after the stretch, and far longer than the worker can have been without its CPU.
      if (open && now > cycles + 20.0 * static_cast<double>(rte_get_tsc_hz()))
        give_up(fmt::format("tcp syn_flood: {} requests were not answered", open));
    }
    out.load = driven_.load();
    std::ranges::sort(out.responses);
    return out;
  }

 private:
  template <typename Done>
  Driven run(Done&& done) {
    return run_proxy(rig_, world_, ground_.clock, "syn_flood", done);
  }
  void turn() {
    rig_.turn(0, {}, driven_);
    world_.react(ground_.clock.now());
    if (!world_.fault().empty()) give_up(fmt::format("tcp syn_flood: {}; {}", world_.fault(), rig_.drops()));
  }
  double wait(double mean) {
    const double u = static_cast<double>(rng_.below(1u << 30) + 1) / (1u << 30);
    return -mean * std::log(u);
  }
  std::uint32_t any_idle() {
    for (;;)
      if (const std::uint32_t client = rng_.below(clients); world_.idle(client)) return client;
  }

  Ground& ground_;
  TcpWorld& world_;
  Rig& rig_;
  Rng rng_{1};
  Driven driven_;
  std::vector<double> due_;
};

double at(const std::vector<double>& sorted, double share) {
  return sorted.empty() ? 0 : sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
}

}  // namespace

void measure_flood(Ground& ground) {
  TcpWorld world{{.clients = clients, .flood = true}, ground.buffers};
  RigSpec spec = proxy_of(world, {});
  // The flood's sources are behind a gateway.
  spec.routes = {{{IpAddress::from_v4(0), 0}, IpAddress::from_v4(TcpWorld::gateway)}};
  Rig rig{std::move(spec), ground.buffers, ground.clock};
  Flood flood{ground, world, rig};
  flood.open();
  const auto requests = ground.options.pick<std::uint64_t>(50'000, 20'000, 1'000);
  const double cycles = ground.options.pick(1.0, 0.3, 0.05) * static_cast<double>(rte_get_tsc_hz());
  Figure served{.scenario = "tcp", .name = "syn_flood", .unit = "ratio"};
  Figure response{.scenario = "tcp", .name = "syn_flood_response", .unit = "ratio", .higher_is_better = false};
  double request = 0, syn = 0;
  Stretch calm, flooded;
  for (unsigned sample = 0; sample <= ground.options.samples(); ++sample) {  // the first warms up
    ground.report.progress(fmt::format("tcp syn_flood: sample {}", sample));
    on_workers(1, [&](std::uint16_t) {
      request = flood.request_cycles(requests);
      syn = flood.syn_cycles(requests);
      calm = flood.stretch(cycles, request / established_share, 0);
      flooded = flood.stretch(cycles, request / established_share, syn / flood_share);
    });
    if (sample == 0) continue;
    served.samples.push_back(static_cast<double>(flooded.answered) / static_cast<double>(calm.answered));
    response.samples.push_back(at(flooded.responses, 0.5) / at(calm.responses, 0.5));
  }
  const double microseconds = 1e6 / static_cast<double>(rte_get_tsc_hz());
  for (Figure* figure : {&served, &response}) {
    figure->params.add("connections", clients)
        .add("request_cycles", request)
        .add("syn_cycles", syn)
        .add("syns_per_request", static_cast<double>(flooded.syns) / static_cast<double>(flooded.responses.size()))
        .add("syn_answers", static_cast<double>(world.flood_answers()))
        .add("load", calm.load)
        .add("load_flooded", flooded.load)
        .add("p50_us", at(calm.responses, 0.5) * microseconds)
        .add("p50_us_flooded", at(flooded.responses, 0.5) * microseconds)
        .add("p99_us", at(calm.responses, 0.99) * microseconds)
        .add("p99_us_flooded", at(flooded.responses, 0.99) * microseconds);
    ground.report.add(std::move(*figure));
  }
}

}  // namespace sluice::perf
