// seeds.h - runs seeds one after another in this process, or shared out over several, each with an EAL of its own; and
// tells how they ended: a line a seed, progress in a long run, and a closing line with what the run went through.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "tests/sim/outcome.h"
#include "tests/sim/trouble.h"

namespace sluice::sim {

struct Options {
  std::uint64_t seeds = 200, first = 1;
  unsigned jobs = 1;
  bool verbose = false;
  bool stop = false;   // at the first seed that fails
  std::string record;  // a file for the table of events, for docs/tcp.md; empty: none
  Shrink shrink;
};

// As it stands on the command line.
std::string replay_of(std::uint64_t seed, const Shrink& shrink);

int run_seeds(const Options& options);

// Every `step`th seed from `first` to before `end`, in this process, which gets an EAL: tells before a seed, and after
// it with its seconds; false from `ended` ends the run. Returns an exit code, of the run as such.
int run_here(std::uint64_t first, std::uint64_t end, std::uint64_t step, const Shrink& shrink,
             const std::function<void(std::uint64_t)>& begins,
             const std::function<bool(std::uint64_t, const Outcome&, double)>& ended);

// Makes the schedule of a seed that fails smaller, kinds of trouble and connections, as long as it still fails.
int minimise(std::uint64_t seed, const Shrink& from);

}  // namespace sluice::sim
