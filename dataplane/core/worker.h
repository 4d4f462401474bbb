// worker.h - the loop that drives one worker's turns, and the thread it runs on.
// A worker is a thread of ours that registers itself with DPDK (own lcore id, so own packet pool cache), so that any
// number of workers runs on any machine. The loop reads the time once a turn, counts turns and the TSC cycles of those
// that found work, reports the quiescent state, and backs off when there is nothing to do: spins, then pauses, then
// sleeps ever longer up to idle.sleep_max, if the node file allows sleeping. The turn itself runs under TurnGuard.
#pragma once

#include <rte_pause.h>
#include <time.h>

#include <atomic>
#include <expected>
#include <functional>
#include <memory>
#include <string>

#include "dataplane/base/clock.h"
#include "dataplane/base/counters.h"
#include "dataplane/base/guard.h"
#include "dataplane/base/snapshot.h"

namespace sluice {

struct IdlePolicy {
  bool sleep = false;  // false: pure polling
  Nanos spin{20'000};  // polls at full speed for so long after the last work
  Nanos sleep_min{10'000}, sleep_max{100'000};
};

// What the loop needs to know; everything outlives it.
struct WorkerLoop {
  unsigned worker = 0;
  const std::atomic<bool>& stop;
  const Clock& clock;
  Counters& counters;
  Qsbr& qsbr;
  IdlePolicy idle;
};

// How long an idle worker should wait: pure, so that it can be tested. `idle_for` counts from the last work.
inline Nanos idle_wait(const IdlePolicy& policy, Nanos idle_for) {
  if (!policy.sleep || idle_for < policy.spin) return {};
  // The longer it has been idle, the longer the wait: a quarter of it.
  const Nanos wait = (idle_for - policy.spin) / 4;
  return wait < policy.sleep_min ? policy.sleep_min : wait < policy.sleep_max ? wait : policy.sleep_max;
}

// turn(Nanos now) -> bool: whether it found work. Runs until stop.
template <typename Turn>
void run_worker(const WorkerLoop& loop, Turn&& turn) {
  loop.qsbr.online(loop.worker);
  Nanos last_work = loop.clock.now();
  while (!loop.stop.load(std::memory_order_relaxed)) {
    const std::uint64_t began = rte_rdtsc();
    const Nanos now = loop.clock.from_tsc(began);
    bool busy;
    {
      const TurnGuard guard;
      busy = turn(now);
    }
    loop.qsbr.quiescent(loop.worker);
    loop.counters.add(Counter::turns);
    if (busy) {
      loop.counters.add(Counter::busy_turns);
      loop.counters.add(Counter::busy_tsc, rte_rdtsc() - began);
      last_work = now;
      continue;
    }
    rte_pause();
    if (const Nanos wait = idle_wait(loop.idle, now - last_work); wait.ns > 0) {
      loop.qsbr.offline(loop.worker);
      const timespec span{0, wait.ns};
      nanosleep(&span, nullptr);
      loop.qsbr.online(loop.worker);
    }
  }
  loop.qsbr.offline(loop.worker);
}

// A registered, pinned thread. Started by the management thread.
class WorkerThread {
 public:
  // Runs body() on a thread called `name`, pinned to `cpu` (-1: not pinned). One line on failure (no such CPU, EAL
  // takes no more threads). Returns once the thread is pinned and registered.
  static std::expected<std::unique_ptr<WorkerThread>, std::string> start(const std::string& name, int cpu,
                                                                         std::function<void()> body);
  // Waits for the body to return.
  ~WorkerThread();
  WorkerThread(const WorkerThread&) = delete;
  WorkerThread& operator=(const WorkerThread&) = delete;

  // The thread's id for the kernel (strace, /proc).
  int tid() const { return tid_; }

 private:
  WorkerThread() = default;
  static void* run(void* self);

  std::function<void()> body_;
  std::string name_, error_;
  int cpu_ = -1;
  std::atomic<int> tid_{0};  // 0 until it runs, -1 when it could not
  pthread_t thread_{};
};

}  // namespace sluice
