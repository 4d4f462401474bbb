// sluice-sim: runs seeds of the simulated world (world.h). `--seeds N --first S`; a line a seed, and a closing line
// with what the run went through. A failing seed names the command that replays it.
#include <malloc.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/sim/tls_client.h"
#include "tests/sim/world.h"
#include "tests/support/eal_main.h"

namespace sluice::sim {
namespace {

constexpr std::uint64_t eventful_from = 10;  // a run of so many seeds goes through every kind of trouble

struct Options {
  std::uint64_t seeds = 200, first = 1;
  bool verbose = false;
  bool stop = false;  // at the first seed that fails
};

bool read_options(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--verbose") options.verbose = true;
    else if (word == "--stop") options.stop = true;
    else if (word == "--seeds" && i + 1 < argc) options.seeds = std::strtoull(argv[++i], nullptr, 10);
    else if (word == "--first" && i + 1 < argc) options.first = std::strtoull(argv[++i], nullptr, 10);
    else return false;
  }
  return true;
}

#define LLU(x) static_cast<unsigned long long>(x)

void print_sum(const Outcome& o, std::uint64_t seeds) {
  std::printf(
      "%llu seeds: %llu connections, %llu requests, %llu bytes (%llu through TLS), %llu losses, %llu reorderings, "
      "%llu duplicates, %llu corruptions, %llu forged ACKs, %llu RTOs, %llu window probes, %llu policy swaps, "
      "%llu handoffs, %llu full pools, %llu TCP images, %llu TLS images, %llu key updates, %llu hosts that vanished, "
      "%llu turns, %.0f s of virtual time\n",
      LLU(seeds), LLU(o.connections), LLU(o.requests), LLU(o.bytes), LLU(o.proxied_bytes), LLU(o.losses),
      LLU(o.reordered), LLU(o.duplicated), LLU(o.corrupted), LLU(o.forged), LLU(o.rtos), LLU(o.probes), LLU(o.swaps),
      LLU(o.handoffs), LLU(o.full_pools), LLU(o.tcp_images), LLU(o.tls_images), LLU(o.key_updates), LLU(o.vanished),
      LLU(o.turns), o.virtual_time.seconds());
}

// Whether the run went through all that it is for.
bool eventful(const Outcome& o) {
  return o.losses && o.reordered && o.duplicated && o.corrupted && o.forged && o.rtos && o.probes && o.swaps &&
         o.handoffs && o.full_pools && o.tcp_images && o.tls_images && o.key_updates && o.vanished;
}

int run(const Options& options) {
  Buffers node{"sim-node", 16384, 16384, 0, -1}, peers{"sim-peers", 16384, 16384, 0, -1};
  if (!node.ok() || !peers.ok()) return std::fprintf(stderr, "no memory for packet buffers\n"), 1;
  seed_openssl(1);
  server_identity();
  Shared shared{node, peers};
  for (auto& engine : shared.engines) {
    auto opened = Engine::open(shared.engine_counters);
    if (!opened) return std::fprintf(stderr, "%s\n", opened.error().c_str()), 1;
    engine = std::move(*opened);
  }
  Outcome sum;
  std::uint64_t failed = 0;
  for (std::uint64_t seed = options.first; seed < options.first + options.seeds; ++seed) {
    const auto began = std::chrono::steady_clock::now();
    const Outcome one = run_seed(seed, shared);
    sum.add(one);
    const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    if (one.failure.empty()) {
      std::printf("ok seed %llu\n", LLU(seed));
      if (options.verbose) std::printf("   %.2f s; ", took), print_sum(one, 1);
    } else {
      ++failed;
      std::printf("not ok seed %llu # %s; replay: ./dev sim --seeds 1 --first %llu --verbose\n", LLU(seed),
                  one.failure.c_str(), LLU(seed));
      if (options.stop) return 1;
    }
    std::fflush(stdout);
  }
  print_sum(sum, options.seeds);
  if (options.seeds >= eventful_from && !options.stop) {
    std::printf(eventful(sum) ? "ok every kind of trouble\n"
                              : "not ok every kind of trouble # one of them never happened\n");
    failed += !eventful(sum);
  }
  return failed != 0;
}

}  // namespace
}  // namespace sluice::sim

int main(int argc, char** argv) {
  sluice::sim::Options options;
  if (!sluice::sim::read_options(argc, argv, options)) {
    std::fprintf(stderr, "usage: sluice-sim [--seeds N] [--first SEED] [--verbose] [--stop]\n");
    return 2;
  }
  mallopt(M_PERTURB, 0xa5);  // what is freed does not look alive any more
  if (!sluice::test::start_eal(argv[0], "192")) return std::fprintf(stderr, "EAL does not start\n"), 1;
  const int result = sluice::sim::run(options);
  sluice::test::stop_eal();
  return result;
}
