// A million connections held by one process: each opened by a handshake through the port and answered one request.
// Their memory, by the definition of "per connection": the growth of the process (resident, hugepages among it) over
// what it had before the proxy was made, so that pools which are touched at the start count too. Then requests and lone
// data segments on connections taken at random, in turn with the same on a second proxy of the same size that holds a
// thousand: what else runs on the machine meets both.
#include <malloc.h>
#include <rte_cycles.h>

#include <cstdio>

#include "dataplane/base/rng.h"
#include "l4/tcp/tcb.h"
#include "perf/tcp/proxy.h"

namespace sluice::perf {

namespace {

constexpr std::uint32_t at_once = 256, few = 1000;
constexpr Nanos after_opening{12'000'000'000};  // past the deadline of a first request

// Bytes of memory that this process holds.
std::uint64_t memory_held() {
  std::uint64_t sum = 0, value = 0;
  char line[256];
  std::FILE* file = std::fopen("/proc/self/smaps_rollup", "r");
  if (!file) give_up("/proc/self/smaps_rollup cannot be read");
  while (std::fgets(line, sizeof line, file))
    for (const char* name : {"Rss: %lu", "Shared_Hugetlb: %lu", "Private_Hugetlb: %lu"})
      if (std::sscanf(line, name, &value) == 1) sum += value * 1024;
  std::fclose(file);
  return sum;
}

Driven sum(const Driven& a, const Driven& b) {
  return {a.turns + b.turns, a.busy_turns + b.busy_turns, a.busy_tsc + b.busy_tsc, a.total_tsc + b.total_tsc};
}

class Million {
 public:
  Million(Ground& ground, TcpWorld& world, Rig& rig) : ground_(ground), world_(world), rig_(rig) {}

  // Opens clients up to `count`; each asks once.
  Driven open_to(std::uint32_t count) {
    const std::uint32_t until = count;
    std::uint32_t in_flight = 0;
    world_.done.clear();
    const std::uint64_t answers = world_.answered() + (count - open_);
    return run("open", [&] {
      in_flight -= static_cast<std::uint32_t>(world_.done.size());
      world_.done.clear();
      for (; open_ < until && in_flight < at_once; ++in_flight) {
        // The first of an address is alone, so that nothing is lost while it is resolved.
        if (open_ % TcpWorld::ports_an_address <= 1 && in_flight > 0) break;
        world_.open(open_++);
      }
      return world_.answered() == answers;
    });
  }
  // So many requests on open connections taken at random.
  Driven ask(std::uint64_t count) {
    const std::uint64_t answers = world_.answered() + count;
    std::uint64_t asked = 0;
    const auto ask_one = [&] {
      world_.ask(any_idle());
      ++asked;
    };
    while (asked < std::min<std::uint64_t>(at_once, count)) ask_one();
    return run("ask", [&] {
      for (std::size_t n = world_.done.size(); n > 0 && asked < count; --n) ask_one();
      world_.done.clear();
      return world_.answered() == answers;
    });
  }
  // Data segments alone: the first bytes of a request on connections taken at random. The rest follows, uncounted.
  Driven part(std::uint64_t count) {
    Driven all;
    for (std::uint64_t sent = 0; sent < count; sent += at_once) {
      std::vector<std::uint32_t> clients;
      for (std::uint32_t i = 0; i < at_once; ++i) {
        clients.push_back(any_idle());
        world_.ask(clients.back(), true);
      }
      all = sum(all, until_quiet());
      const std::uint64_t answers = world_.answered() + at_once;
      for (const std::uint32_t client : clients) world_.ask(client);
      run("part", [&] { return world_.answered() == answers; });
      world_.done.clear();
      until_quiet();
    }
    return all;
  }
  // Turns until one finds nothing to do.
  Driven until_quiet() {
    std::uint64_t turns = 0, busy = 0;
    Driven driven;
    while (turns < 4 || driven.busy_turns != busy) {
      busy = driven.busy_turns;
      rig_.turn(0, {}, driven);
      world_.react(ground_.clock.now());
      ++turns;
    }
    return driven;
  }
  // Turns until the deadlines that a million connections got in one moment are over: nobody opens them so.
  void rest(Nanos time) {
    Driven driven;
    for (const Nanos until = ground_.clock.now() + time; ground_.clock.now() < until;) {
      rig_.turn(0, {}, driven);
      world_.react(ground_.clock.now());
    }
    until_quiet();
  }

 private:
  template <typename Done>
  Driven run(const char* what, Done&& done) {
    return run_proxy(rig_, world_, ground_.clock, what, done);
  }
  std::uint32_t any_idle() {
    for (;;)
      if (const std::uint32_t client = rng_.below(open_); world_.idle(client)) return client;
  }

  Ground& ground_;
  TcpWorld& world_;
  Rig& rig_;
  Rng rng_{1};
  std::uint32_t open_ = 0;
};

// Cycles an operation.
template <typename F>
double cycles(std::uint64_t count, F&& f) {
  Driven driven;
  on_workers(1, [&](std::uint16_t) { driven = f(); });
  return static_cast<double>(driven.busy_tsc) / static_cast<double>(count);
}

// One operation's cycles with many connections and with few, sample by sample.
struct Pairs {
  std::vector<double> of_many, of_few;

  Figure figure(const char* name, const char* unit, double (*of)(double many, double few)) const {
    Figure figure{.scenario = "tcp", .name = name, .unit = unit, .higher_is_better = false};
    figure.params.add("against", few)
        .add("at_once", at_once)
        .add("cycles", median(of_many))
        .add("cycles_against", median(of_few));
    for (std::size_t i = 0; i < of_many.size(); ++i) figure.samples.push_back(of(of_many[i], of_few[i]));
    return figure;
  }
};

}  // namespace

void measure_million(Ground& ground) {
  const std::uint32_t count = ground.options.pick(1'000'000u, 1'000'000u, 10'000u);
  const auto work = ground.options.pick<std::uint64_t>(1024 * at_once, 512 * at_once, 4 * at_once);
  const ProxySpec size{.connections = count + 4096, .exchanges = 2048};
  TcpWorld few_world{{.clients = few}, ground.buffers}, world{{.clients = count}, ground.buffers};
  Rig few_rig{proxy_of(few_world, size), ground.buffers, ground.clock};
  Million handful{ground, few_world, few_rig};
  handful.open_to(1);  // alone, so that nothing is lost while neighbours are resolved
  handful.open_to(few);
  malloc_trim(0);
  const std::uint64_t before = memory_held();
  Rig rig{proxy_of(world, size), ground.buffers, ground.clock};
  const std::uint64_t made = memory_held();
  Million million{ground, world, rig};
  million.open_to(1);
  ground.report.progress(fmt::format("tcp million: {} connections", count));
  on_workers(1, [&](std::uint16_t) { million.open_to(count); });
  million.until_quiet();
  const std::uint64_t held = memory_held();
  million.rest(ground.options.pick(after_opening, after_opening, Nanos{}));
  Pairs requests, segments;
  for (unsigned sample = 0; sample <= ground.options.samples(); ++sample) {
    ground.report.progress(fmt::format("tcp million: sample {}", sample));
    const double few_request = cycles(work, [&] { return handful.ask(work); });
    const double request = cycles(work, [&] { return million.ask(work); });
    const double few_segment = cycles(work, [&] { return handful.part(work); });
    const double segment = cycles(work, [&] { return million.part(work); });
    if (sample == 0) continue;  // warms up
    requests.of_few.push_back(few_request), requests.of_many.push_back(request);
    segments.of_few.push_back(few_segment), segments.of_many.push_back(segment);
  }
  if (rig.pipeline().tcp().connection_count() < count)
    give_up(fmt::format("tcp million: {} connections are left", rig.pipeline().tcp().connection_count()));

  ground.report.add({.scenario = "tcp",
                     .name = "million",
                     .params = Params{}.add("workers", 1),
                     .unit = "connections",
                     .samples = {static_cast<double>(count)},
                     .result_hash = hash_text(world.result_hash())});
  const auto mean = [count](std::uint64_t to, std::uint64_t from) {
    return static_cast<double>(to - from) / static_cast<double>(count);
  };
  ground.report.add({.scenario = "tcp",
                     .name = "idle_bytes",
                     .params = Params{}
                                   .add("connections", count)
                                   .add("of_tcp_state", tcp::TcbPool::stride())
                                   .add("of_http_state", ConnectionPool::stride())
                                   .add("grown_while_opening", mean(held, made))
                                   .add("process", static_cast<double>(held)),
                     .unit = "bytes/connection",
                     .higher_is_better = false,
                     .samples = {mean(held, before)}});
  ground.report.add(
      requests.figure("million_request", "ratio", [](double many, double a_few) { return many / a_few; }));
  ground.report.add(
      segments.figure("million_segment", "cycles more", [](double many, double a_few) { return many - a_few; }));
}

}  // namespace sluice::perf
