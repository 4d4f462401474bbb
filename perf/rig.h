// rig.h - a node as the appliance builds it (mgmt/plane.cc), around ports of the benchmark's own: the pipelines, with
// all they stand on, and a policy compiled by mgmt/compile. The caller drives the turns.
// drive() is the loop of dataplane/core/worker.h with the end and the time in the caller's hand: it counts the TSC
// cycles of turns that found work, which is what figures per core are divided by.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/base/guard.h"
#include "l7/pipeline.h"
#include "mgmt/compile.h"

namespace sluice::perf {

struct RigSpec {
  std::uint16_t workers = 1;
  std::vector<Port*> ports;  // by PortId; worker w uses queue w of each
  std::vector<Interface> interfaces;
  std::vector<StaticRoute> routes;
  std::vector<LocalRange> local;
  mgmt::spec::Policy policy;
  PipelineConfig pipeline;  // worker, workers and sources are filled in
};

struct Driven {
  std::uint64_t turns = 0, busy_turns = 0, busy_tsc = 0, total_tsc = 0;
  double load() const { return total_tsc ? static_cast<double>(busy_tsc) / static_cast<double>(total_tsc) : 0; }
};

class Rig {
 public:
  // Ends the process with a line when the policy is refused: the benchmark's own fault.
  Rig(RigSpec spec, Buffers& buffers, const Clock& clock);
  ~Rig();
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;

  Pipeline& pipeline(std::uint16_t worker = 0) { return *seats_[worker]->pipeline; }
  const Counters& counters(std::uint16_t worker = 0) const { return seats_[worker]->counters; }

  // One turn, counted. Inlined into the caller's loop.
  bool turn(std::uint16_t worker, Nanos ahead, Driven& driven) {
    const std::uint64_t began = rte_rdtsc();
    bool busy;
    {
      const TurnGuard guard;
      busy = seats_[worker]->pipeline->turn(clock_.from_tsc(began) + ahead);
    }
    qsbr_->quiescent(worker);
    const std::uint64_t took = rte_rdtsc() - began;
    ++driven.turns;
    driven.total_tsc += took;
    if (busy) ++driven.busy_turns, driven.busy_tsc += took;
    return busy;
  }
  // Turns until done() says so. `ahead` is added to the clock.
  template <typename Done>
  Driven drive(std::uint16_t worker, Done&& done, Nanos ahead = {}) {
    Driven driven;
    while (!done()) turn(worker, ahead, driven);
    return driven;
  }
  // What died in the node, by reason; empty when nothing did.
  std::string drops() const;

 private:
  struct Seat {
    Counters counters;
    std::unique_ptr<Stats> stats;
    std::unique_ptr<L4Stats> l4_stats;
    std::unique_ptr<Engine> engine;
    std::unique_ptr<Pipeline> pipeline;
  };
  const Clock& clock_;
  RigSpec spec_;
  tls::Libraries libraries_;
  tls::TicketKeyring keyring_;
  route::DatabaseCache databases_;
  std::unique_ptr<Qsbr> qsbr_;
  Permit cluster_permits_, listener_permits_;
  Handoff handoff_;
  NewsRings news_;
  Routes routes_;
  LocalAddresses addresses_;
  mgmt::Compiled compiled_;
  std::unique_ptr<Published<Policy>> published_;
  std::vector<std::unique_ptr<Seat>> seats_;
};

// Runs one body a worker, each on a thread registered with DPDK and pinned to a CPU of its own, at real-time priority
// where that is allowed, so that no other process's time falls into a turn. Returns when all have.
void on_workers(std::uint16_t workers, const std::function<void(std::uint16_t)>& body);

// The benchmark cannot go on: one line, exit code 1.
[[noreturn]] void give_up(const std::string& why);

}  // namespace sluice::perf
