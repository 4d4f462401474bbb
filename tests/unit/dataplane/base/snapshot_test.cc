#include "dataplane/base/snapshot.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace sluice {
namespace {

struct Config {
  Config(std::uint64_t generation, std::atomic<int>& dead) : a(generation), b(~generation), dead(dead) {}
  ~Config() {
    a = b = 0;
    ++dead;
  }
  std::uint64_t a, b;
  std::atomic<int>& dead;
};

TEST(Snapshot, TheOldOneLivesUntilEveryOnlineWorkerHasReported) {
  std::atomic<int> dead{0};
  Qsbr qsbr{3};
  Published<Config> published{std::make_unique<const Config>(1, dead)};
  qsbr.online(0);
  qsbr.online(1);  // worker 2 sleeps
  const Config* held = published.read();
  published.publish(std::make_unique<const Config>(2, dead), qsbr);
  EXPECT_EQ(published.alive(), 2u);
  EXPECT_EQ(published.read()->a, 2u);
  EXPECT_EQ(qsbr.reclaim(), 1u);
  EXPECT_EQ(held->a, 1u);
  qsbr.quiescent(1);
  EXPECT_EQ(qsbr.reclaim(), 1u) << "worker 0 may still look at it";
  EXPECT_EQ(dead, 0);
  qsbr.quiescent(0);
  EXPECT_EQ(qsbr.reclaim(), 0u);
  EXPECT_EQ(dead, 1);
  EXPECT_EQ(published.alive(), 1u);
  published.publish(std::make_unique<const Config>(3, dead), qsbr);
  published.publish(nullptr, qsbr);
  EXPECT_EQ(published.read(), nullptr);
  qsbr.offline(0);
  qsbr.offline(1);
  EXPECT_EQ(qsbr.reclaim(), 0u) << "workers that are offline hold nothing";
  EXPECT_EQ(dead, 3);
  EXPECT_EQ(published.alive(), 0u);
}

TEST(Snapshot, WhatIsRetiredAtTheEndIsFreed) {
  std::atomic<int> dead{0};
  {
    Qsbr qsbr{1};
    qsbr.online(0);
    qsbr.retire(std::make_unique<const Config>(1, dead));
    EXPECT_EQ(qsbr.reclaim(), 1u);
  }
  EXPECT_EQ(dead, 1);
}

TEST(Snapshot, ReadersInTurnsNeverSeeADeadOne) {
  std::atomic<int> dead{0};
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> wrong{0}, turns{0};
  Qsbr qsbr{2};
  Published<Config> published{std::make_unique<const Config>(1, dead)};
  std::vector<std::thread> workers;
  for (unsigned worker = 0; worker < 2; ++worker)
    workers.emplace_back([&, worker] {
      qsbr.online(worker);
      std::uint64_t last = 0, turn = 0;
      while (!stop) {
        const Config* config = published.read();
        if (config->a != ~config->b || config->a < last) ++wrong;
        last = config->a;
        qsbr.quiescent(worker);
        turns.fetch_add(1, std::memory_order_relaxed);
        if (++turn % 64 == 0) {
          qsbr.offline(worker);
          std::this_thread::yield();
          qsbr.online(worker);
        }
      }
      qsbr.offline(worker);
    });
  constexpr int swaps = 2000;
  std::size_t most = 0;
  for (std::uint64_t generation = 2; generation < swaps + 2; ++generation) {
    published.publish(std::make_unique<const Config>(generation, dead), qsbr);
    most = std::max(most, qsbr.reclaim());
    if (generation % 16 == 0) std::this_thread::yield();
  }
  stop = true;
  for (auto& worker : workers) worker.join();
  EXPECT_EQ(qsbr.reclaim(), 0u);
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(dead, swaps);
  EXPECT_EQ(published.alive(), 1u);
}

TEST(Snapshot, WhatIsRetiredMayOutliveWhoPublishedIt) {
  std::atomic<int> dead{0};
  Qsbr qsbr{1};
  qsbr.online(0);
  {
    Published<Config> published{std::make_unique<const Config>(1, dead)};
    published.publish(std::make_unique<const Config>(2, dead), qsbr);
  }
  EXPECT_EQ(dead, 1) << "the one that was published last";
  qsbr.offline(0);
  EXPECT_EQ(qsbr.reclaim(), 0u);
  EXPECT_EQ(dead, 2);
}

TEST(Snapshot, SeveralThreadsOfManagementRetireAndReclaim) {
  constexpr int each = 5000;
  std::atomic<int> dead{0};
  Qsbr qsbr{1};
  qsbr.online(0);
  std::vector<std::thread> publishers;
  for (int i = 0; i < 3; ++i)
    publishers.emplace_back([&] {
      Published<Config> published;
      for (std::uint64_t n = 0; n < each; ++n) {
        published.publish(std::make_unique<const Config>(n, dead), qsbr);
        if (n % 8 == 0) qsbr.reclaim();
      }
    });
  std::atomic<bool> stop{false};
  std::thread worker{[&] {
    while (!stop) qsbr.quiescent(0);
    qsbr.offline(0);
  }};
  for (auto& publisher : publishers) publisher.join();
  stop = true;
  worker.join();
  EXPECT_EQ(qsbr.reclaim(), 0u);
  EXPECT_EQ(dead, 3 * each);
}

}  // namespace
}  // namespace sluice
