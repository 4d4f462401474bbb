// Connections opened and closed through a link that loses, doubles and reorders frames each way, in virtual time. When
// all are done and TIME-WAIT is over, no connection and no buffer may be left.
#include "dataplane/port/impair.h"
#include "perf/tcp/proxy.h"

namespace sluice::perf {

namespace {

constexpr Impairment bad{.loss_ppm = 10'000, .duplicate_ppm = 5'000, .reorder_ppm = 10'000};
constexpr std::uint32_t at_once = 1000;
constexpr Nanos step{100'000}, send_again_every{250'000'000}, patience{600'000'000'000};

struct Churn {
  Ground& ground;
  TcpWorld& world;
  Rig& rig;
  Nanos ahead{}, next_again{};
  std::uint64_t opened = 0;

  void turn(Nanos forward) {
    Driven driven;
    ahead += forward;
    rig.turn(0, ahead, driven);
    const Nanos now = ground.clock.now() + ahead;
    world.react(now);
    if (now >= next_again) world.send_again(now), next_again = now + send_again_every;
    if (!world.fault().empty()) give_up(fmt::format("tcp churn: {}; {}", world.fault(), rig.drops()));
  }
  void run(std::uint64_t count) {
    std::uint32_t in_flight = 0;
    world.done.clear();
    const Nanos until = ahead + patience;
    while (world.closed() < count) {
      in_flight -= static_cast<std::uint32_t>(world.done.size());
      world.done.clear();
      for (; opened < count && in_flight < at_once; ++in_flight) world.open(static_cast<std::uint32_t>(opened++));
      turn(step);
      if (ahead > until) give_up(fmt::format("tcp churn: {} of {} are done; {}", world.closed(), count, rig.drops()));
    }
  }
};

}  // namespace

void measure_churn(Ground& ground) {
  const std::uint32_t count = ground.options.pick(100'000u, 100'000u, 3'000u);
  const unsigned data_free = ground.buffers.data_free(), slices_free = ground.buffers.slices_free();
  auto owned = std::make_unique<TcpWorld>(
      TcpWorldSpec{.clients = count, .close = true, .again = true, .hardware_checksums = false}, ground.buffers);
  TcpWorld& world = *owned;
  Impaired port{std::move(owned), {.receive = bad, .transmit = bad, .seed = 7}};
  Figure figure{.scenario = "tcp", .name = "churn_lossy", .unit = "connections"};
  {
    RigSpec spec = proxy_of(port, {});
    // The default of 5 s is three SYNs: of 100,000 connections one in ten runs loses all of its own.
    spec.policy.clusters[0].connect_timeout_ms = 60'000;
    Rig rig{spec, ground.buffers, ground.clock};
    Churn churn{ground, world, rig};
    churn.run(1);  // alone: neighbours are resolved
    ground.report.progress(fmt::format("tcp churn_lossy: {} connections", count));
    churn.run(count);
    for (unsigned i = 0; i < 2000; ++i) churn.turn(Nanos{100'000'000});  // TIME-WAIT, and what else waits
    Pipeline& node = rig.pipeline();
    const std::uint64_t left = node.tcp().connection_count() + node.tcp().handshake_count() +
                               node.tcp().time_wait_count() + node.tcp().held_buffers() + node.exchanges().active() +
                               node.exchanges().client_connections();
    if (left || ground.buffers.data_free() != data_free || ground.buffers.slices_free() != slices_free)
      give_up(
          fmt::format("tcp churn: left over: {} connections, {} handshakes, {} in TIME-WAIT, {} held buffers, {} "
                      "exchanges, {} clients; buffers {} of {}, descriptors {} of {}",
                      node.tcp().connection_count(), node.tcp().handshake_count(), node.tcp().time_wait_count(),
                      node.tcp().held_buffers(), node.exchanges().active(), node.exchanges().client_connections(),
                      ground.buffers.data_free(), data_free, ground.buffers.slices_free(), slices_free));
    figure.samples.push_back(static_cast<double>(world.closed()));
    figure.params.add("lost", static_cast<double>(port.received().lost + port.transmitted().lost))
        .add("doubled", static_cast<double>(port.received().duplicated + port.transmitted().duplicated))
        .add("reordered", static_cast<double>(port.received().reordered + port.transmitted().reordered))
        .add("segments_sent_again", static_cast<double>(rig.counters().get(Counter::tcp_retransmitted_segments)))
        .add("virtual_seconds", static_cast<double>(churn.ahead.millis()) / 1000)
        .add("left_over", 0);
  }
  figure.result_hash = hash_text(world.result_hash());
  ground.report.add(std::move(figure));
}

}  // namespace sluice::perf
