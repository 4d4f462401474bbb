#include <sys/wait.h>
#include <unistd.h>

#include <bit>
#include <cstdio>

#include "tests/sim/seeds.h"
#include "tests/sim/world.h"

namespace sluice::sim {

namespace {

// Whether a schedule fails, in a process of its own, and how.
bool fails(std::uint64_t seed, const Shrink& shrink, std::string& how) {
  int ends[2];
  CHECK(::pipe(ends) == 0);
  std::fflush(stdout);
  const pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    ::close(ends[0]);
    dup2(ends[1], 2);  // what a CHECK says
    alarm(120);
    bool failed = false;
    run_here(
        seed, seed + 1, 1, shrink, [](std::uint64_t) {},
        [&](std::uint64_t, const Outcome& outcome, double) {
          failed = !outcome.failure.empty();
          if (failed) std::fprintf(stderr, "%s", outcome.failure.c_str());
          return true;
        });
    _exit(failed);
  }
  ::close(ends[1]);
  how.clear();
  char piece[512];
  for (ssize_t n; (n = ::read(ends[0], piece, sizeof piece)) > 0;) how.append(piece, static_cast<std::size_t>(n));
  ::close(ends[0]);
  int status = 0;
  waitpid(pid, &status, 0);
  if (WIFSIGNALED(status)) how += " (died by signal " + std::to_string(WTERMSIG(status)) + ")";
  return status != 0;
}

}  // namespace

int minimise(std::uint64_t seed, const Shrink& from) {
  Shrink best = from;
  std::string how, other;
  unsigned runs = 1;
  if (!fails(seed, best, how)) {
    std::printf("seed %llu does not fail\n", static_cast<unsigned long long>(seed));
    return 1;
  }
  std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), how.c_str());
  if (best.only.empty())
    for (std::uint32_t i = 0; i < connections_of(seed); ++i) best.only.push_back(i);
  const auto keep = [&](const Shrink& smaller) {
    ++runs;
    if (!fails(seed, smaller, other)) return false;
    best = smaller;
    how = other;
    std::printf("  %zu connections, %u kinds of trouble: still fails\n", best.only.size(),
                static_cast<unsigned>(trouble_count) - static_cast<unsigned>(std::popcount(best.without)));
    std::fflush(stdout);
    return true;
  };
  const auto drop_troubles = [&] {
    for (std::size_t i = 0; i < trouble_count; ++i) {
      Shrink smaller = best;
      smaller.without |= 1u << i;
      if (smaller.without != best.without) keep(smaller);
    }
  };
  drop_troubles();
  // Halves, quarters, ... single connections.
  for (std::size_t piece = std::max<std::size_t>(best.only.size() / 2, 1);; piece /= 2) {
    for (std::size_t at = 0; at < best.only.size() && best.only.size() > 1;) {
      Shrink smaller = best;
      const std::size_t end = std::min(at + piece, smaller.only.size());
      smaller.only.erase(smaller.only.begin() + static_cast<std::ptrdiff_t>(at),
                         smaller.only.begin() + static_cast<std::ptrdiff_t>(end));
      if (smaller.only.empty() || !keep(smaller)) at += piece;
    }
    if (piece == 1) break;
  }
  drop_troubles();
  std::printf("\nseed %llu after %u runs: %s\nwhat is left:\n", static_cast<unsigned long long>(seed), runs,
              how.c_str());
  for (std::size_t i = 0; i < trouble_count; ++i)
    if (best.has(static_cast<Trouble>(i)))
      std::printf("  trouble %.*s: %.*s\n", static_cast<int>(trouble_names[i].name.size()),
                  trouble_names[i].name.data(), static_cast<int>(trouble_names[i].meaning.size()),
                  trouble_names[i].meaning.data());
  for (const std::uint32_t connection : best.only)
    std::printf("  connection %u: %s\n", connection, connection_text(seed, connection).c_str());
  std::printf("replay: %s\n", replay_of(seed, best).c_str());
  return 0;
}

}  // namespace sluice::sim
