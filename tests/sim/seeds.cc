#include "tests/sim/seeds.h"

#include <malloc.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>

#include "tests/sim/tls_client.h"
#include "tests/sim/world.h"
#include "tests/support/eal_main.h"

namespace sluice::sim {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::uint64_t eventful_from = 10;  // a run of so many seeds goes through every kind of trouble
constexpr std::uint64_t long_from = 1000;    // such a run prints progress instead of a line a seed
constexpr std::uint64_t progress_every = 100;

#define LLU(x) static_cast<unsigned long long>(x)

double seconds_since(Clock::time_point began) { return std::chrono::duration<double>(Clock::now() - began).count(); }

// What crosses the pipe: a seed begins, then it has ended.
struct Message {
  std::uint64_t seed = 0;
  bool ended = false, failed = false;
  double took = 0;
  Sums sums;
  char failure[2048] = {};
};

class Report {
 public:
  explicit Report(const Options& options) : options_(options) {}

  void ended(std::uint64_t seed, const Sums& sums, const char* failure, double took) {
    sum_.add(sums);
    ++done_;
    if (failure) {
      ++failed_;
      std::printf("not ok seed %llu # %s; replay: %s\n", LLU(seed), failure, replay_of(seed, options_.shrink).c_str());
    } else if (options_.seeds < long_from) {
      std::printf("ok seed %llu\n", LLU(seed));
      if (options_.verbose) std::printf("   %.2f s; ", took), print(sums, 1);
    } else if (done_ % progress_every == 0) {
      const double so_far = seconds_since(began_);
      std::printf("# %llu of %llu seeds, %llu failed, %.0f s, %.0f s to go\n", LLU(done_), LLU(options_.seeds),
                  LLU(failed_), so_far,
                  so_far / static_cast<double>(done_) * static_cast<double>(options_.seeds - done_));
    }
    std::fflush(stdout);
  }
  int close() {
    print(sum_, done_);
    if (options_.seeds >= long_from) std::printf("\n"), print_table(stdout), std::printf("\n");
    if (!options_.record.empty()) record();
    if (options_.seeds >= eventful_from && !options_.stop && !options_.shrink.any()) {
      const char* missing = sum_.missing();
      if (missing) std::printf("not ok every kind of trouble # no %s\n", missing);
      else std::printf("ok every kind of trouble\n");
      failed_ += missing != nullptr;
    }
    return failed_ != 0;
  }
  std::uint64_t failed() const { return failed_; }

 private:
  static void print(const Sums& sums, std::uint64_t seeds) {
    std::printf("%llu seeds:", LLU(seeds));
    for (std::size_t i = 0; i < sum_count; ++i) std::printf(" %llu %s,", LLU(sums.counts[i]), sum_names[i].text);
    std::printf(" %.0f s of virtual time\n", sums.virtual_time.seconds());
  }
  void print_table(std::FILE* out) const {
    std::fprintf(
        out, "%llu seeds (from %llu), %llu failed, %.0f s of wall time on %u processes, %.1f h of virtual time.\n\n",
        LLU(done_), LLU(options_.first), LLU(failed_), seconds_since(began_), options_.jobs,
        sum_.virtual_time.seconds() / 3600);
    std::fprintf(out, "| event | count |\n|---|---|\n");
    for (std::size_t i = 0; i < sum_count; ++i)
      std::fprintf(out, "| %s | %llu |\n", sum_names[i].text, LLU(sum_.counts[i]));
  }
  // For docs/tcp.md.
  void record() {
    std::FILE* file = std::fopen(options_.record.c_str(), "w");
    if (file) print_table(file);
    if (file && std::fclose(file) == 0) return;
    std::fprintf(stderr, "%s cannot be written\n", options_.record.c_str());
    ++failed_;
  }

  const Options& options_;
  const Clock::time_point began_ = Clock::now();
  Sums sum_;
  std::uint64_t done_ = 0, failed_ = 0;
};

}  // namespace

int run_here(std::uint64_t first, std::uint64_t end, std::uint64_t step, const Shrink& shrink,
             const std::function<void(std::uint64_t)>& begins,
             const std::function<bool(std::uint64_t, const Outcome&, double)>& ended) {
  mallopt(M_PERTURB, 0xa5);  // what is freed does not look alive any more
  if (!test::start_eal("sluice-sim", "192")) return std::fprintf(stderr, "EAL does not start\n"), 1;
  {
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
    for (std::uint64_t seed = first; seed < end; seed += step) {
      begins(seed);
      const auto began = Clock::now();
      const Outcome outcome = run_seed(seed, shrink, shared);
      if (!ended(seed, outcome, seconds_since(began))) break;
    }
  }
  test::stop_eal();
  return 0;
}

namespace {

// A process that runs every `jobs`th seed from one on.
struct Share {
  pid_t pid = -1;
  int pipe = -1;
  std::uint64_t running = 0;  // the seed under way; 0: none

  void start(std::uint64_t first, const Options& options) {
    int ends[2];
    CHECK(::pipe(ends) == 0);
    std::fflush(stdout);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
      ::close(ends[0]);
      Message m;
      const auto tell = [&] { return ::write(ends[1], &m, sizeof m) == sizeof m; };
      _exit(run_here(
          first, options.first + options.seeds, options.jobs, options.shrink,
          [&](std::uint64_t seed) { m = Message{.seed = seed}, tell(); },
          [&](std::uint64_t seed, const Outcome& outcome, double took) {
            m = Message{
                .seed = seed, .ended = true, .failed = !outcome.failure.empty(), .took = took, .sums = outcome.sums};
            std::snprintf(m.failure, sizeof m.failure, "%s", outcome.failure.c_str());
            return tell();
          }));
    }
    ::close(ends[1]);
    pipe = ends[0];
  }
  // One message; false when the process is gone.
  bool read(Message& m) const {
    std::size_t have = 0;
    while (have < sizeof m) {
      const ssize_t n = ::read(pipe, reinterpret_cast<char*>(&m) + have, sizeof m - have);
      if (n <= 0) return false;
      have += static_cast<std::size_t>(n);
    }
    return true;
  }
  std::string reap() {
    int status = 0;
    waitpid(pid, &status, 0);
    ::close(pipe);
    pipe = -1;
    return WIFSIGNALED(status) ? "the simulator died by signal " + std::to_string(WTERMSIG(status))
                               : "the simulator ended with " + std::to_string(WEXITSTATUS(status));
  }
};

int run_shared(const Options& options) {
  Report report{options};
  std::vector<Share> shares(options.jobs);
  for (unsigned i = 0; i < options.jobs; ++i) shares[i].start(options.first + i, options);
  for (std::size_t open = shares.size(); open > 0;) {
    std::vector<pollfd> polled;
    for (const Share& share : shares) polled.push_back({share.pipe, POLLIN, 0});  // -1: left out
    ::poll(polled.data(), polled.size(), -1);
    for (std::size_t i = 0; i < shares.size(); ++i) {
      if (!polled[i].revents) continue;
      Share& share = shares[i];
      Message m;
      if (share.read(m)) {
        share.running = m.ended ? 0 : m.seed;
        if (m.ended) report.ended(m.seed, m.sums, m.failed ? m.failure : nullptr, m.took);
        continue;
      }
      const std::string how = share.reap();
      const std::uint64_t died = std::exchange(share.running, 0);
      if (died) report.ended(died, {}, how.c_str(), 0);
      // One that died goes on behind the seed that killed it.
      if (died && !options.stop && died + options.jobs < options.first + options.seeds)
        share.start(died + options.jobs, options);
      else --open;
    }
    if (options.stop && report.failed()) {
      for (const Share& share : shares)
        if (share.pipe >= 0) kill(share.pid, SIGKILL);
      break;
    }
  }
  return report.close();
}

}  // namespace

std::string replay_of(std::uint64_t seed, const Shrink& shrink) {
  std::string text = "./dev sim --seeds 1 --first " + std::to_string(seed) + " --verbose", list;
  for (std::size_t i = 0; i < trouble_count; ++i)
    if (!shrink.has(static_cast<Trouble>(i))) (list += list.empty() ? "" : ",") += trouble_names[i].name;
  if (!list.empty()) text += " --without " + list;
  list.clear();
  for (const std::uint32_t connection : shrink.only) (list += list.empty() ? "" : ",") += std::to_string(connection);
  if (!list.empty()) text += " --only " + list;
  return text;
}

int run_seeds(const Options& options) {
  if (options.jobs > 1 && options.seeds > 1) return run_shared(options);
  Report report{options};
  const int result = run_here(
      options.first, options.first + options.seeds, 1, options.shrink, [](std::uint64_t) {},
      [&](std::uint64_t seed, const Outcome& outcome, double took) {
        report.ended(seed, outcome.sums, outcome.failure.empty() ? nullptr : outcome.failure.c_str(), took);
        return !(options.stop && report.failed());
      });
  return report.close() | result;
}

}  // namespace sluice::sim
