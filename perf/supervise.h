// supervise.h - a run of the benchmark in a process of its own, so that nothing is left behind whatever way it ends: a
// wrong answer ends it at once, a signal may, and peers are programs of other hands. The process that waits takes the
// signals, reaps peers that the run left, and removes its scratch folder (the run's TMPDIR) and DPDK's runtime folders.
// Called once, before any thread is started. The run dies with who waits for it, its peers with the run (process.h).
#pragma once

#include <functional>
#include <string>

namespace sluice::perf {

// What runs under DPDK in this run has a name (its --file-prefix) that starts with this.
std::string run_prefix();

// The exit code of `run`; 1 when a signal ended it.
int supervised(const std::function<int()>& run);

}  // namespace sluice::perf
