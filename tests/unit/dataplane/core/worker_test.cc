#include "dataplane/core/worker.h"

#include <gtest/gtest.h>
#include <rte_lcore.h>
#include <sched.h>

#include <chrono>
#include <thread>

namespace sluice {
namespace {

using namespace literals;

TEST(Worker, WaitsLongerTheLongerItIsIdle) {
  const IdlePolicy polling, sleeping{.sleep = true, .spin = 20_us, .sleep_min = 10_us, .sleep_max = 100_us};
  EXPECT_EQ(idle_wait(polling, 10_s).ns, 0);
  EXPECT_EQ(idle_wait(sleeping, 10_us).ns, 0);
  EXPECT_EQ(idle_wait(sleeping, 21_us), 10_us);
  EXPECT_EQ(idle_wait(sleeping, 220_us), 50_us);
  EXPECT_EQ(idle_wait(sleeping, 10_s), 100_us);
}

TEST(Worker, RunsTurnsAccountsForTheBusyOnesAndStops) {
  const Clock clock;
  Counters counters;
  Qsbr qsbr{1};
  std::atomic<bool> stop{false};
  Published<int> published{std::make_unique<const int>(1)};
  int lcore = -1, cpu = -1;
  {
    auto thread = WorkerThread::start("worker-test", 0, [&] {
      lcore = static_cast<int>(rte_lcore_id());
      cpu = sched_getcpu();
      int left = 10;
      Nanos last{};
      run_worker({0, stop, clock, counters, qsbr, {.sleep = true}}, [&](Nanos now) {
        EXPECT_GE(now, last);
        last = now;
        EXPECT_GT(*published.read(), 0);
        return left > 0 && left--;
      });
    });
    ASSERT_TRUE(thread) << thread.error();
    EXPECT_GT((*thread)->tid(), 0);
    while (counters.get(Counter::turns) < 20) std::this_thread::yield();
    published.publish(std::make_unique<const int>(2), qsbr);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{20};
    while (qsbr.reclaim() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    EXPECT_EQ(qsbr.waiting(), 0u) << "a running worker, asleep or not, holds nothing for long";
    stop = true;
  }
  EXPECT_GT(lcore, 0) << "a worker has an lcore id of its own";
  EXPECT_EQ(cpu, 0);
  EXPECT_EQ(counters.get(Counter::busy_turns), 10u);
  EXPECT_GT(counters.get(Counter::busy_tsc), 0u);
}

TEST(Worker, MoreWorkersThanCoresAndAClearErrorForACpuThatIsNotThere) {
  std::atomic<bool> stop{false};
  std::vector<std::unique_ptr<WorkerThread>> threads;
  for (int i = 0; i < 8; ++i) {
    auto thread = WorkerThread::start("many", -1, [&] {
      while (!stop) std::this_thread::sleep_for(std::chrono::milliseconds{1});
    });
    ASSERT_TRUE(thread) << thread.error();
    threads.push_back(std::move(*thread));
  }
  stop = true;
  const auto thread = WorkerThread::start("nowhere", 1000, [] {});
  ASSERT_FALSE(thread);
  EXPECT_EQ(thread.error(), "nowhere: cannot run on CPU 1000");
}

}  // namespace
}  // namespace sluice
