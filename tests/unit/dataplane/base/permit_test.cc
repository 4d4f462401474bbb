#include "dataplane/base/permit.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace sluice {
namespace {

TEST(Permit, AdmitsExactlyTheLimitWhoeverAsks) {
  for (const unsigned workers : {1u, 2u, 3u, 8u})
    for (const std::uint32_t limit : {0u, 1u, 7u, 100u, 1000u}) {
      Permit permit{2, 2, workers};
      permit.set_limit(1, 1, limit);
      for (std::uint32_t i = 0; i < limit; ++i)
        ASSERT_TRUE(permit.acquire(i * 7 % workers, 1, 1)) << i << " of " << limit;
      for (unsigned worker = 0; worker < workers; ++worker) EXPECT_FALSE(permit.acquire(worker, 1, 1));
      EXPECT_EQ(permit.in_use(1, 1), limit);
      EXPECT_EQ(permit.in_use(0, 1), 0u);
      EXPECT_TRUE(permit.acquire(0, 0, 1)) << "other cells have limits of their own";
      for (std::uint32_t i = 0; i < limit; ++i) permit.release(i % workers, 1, 1);
      EXPECT_EQ(permit.in_use(1, 1), 0u);
    }
}

TEST(Permit, RecallsWhatLiesIdleAtAnotherWorker) {
  Permit permit{1, 1, 2};
  permit.set_limit(0, 0, 1000);
  // Worker 0 leases a block and gives one back: the rest of the block lies idle there.
  ASSERT_TRUE(permit.acquire(0, 0, 0));
  permit.release(0, 0, 0);
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(permit.acquire(1, 0, 0)) << i;
  EXPECT_FALSE(permit.acquire(1, 0, 0));
  EXPECT_FALSE(permit.acquire(0, 0, 0));
}

TEST(Permit, ALoweredLimitRefusesAtOnceAndLetsTheRestRunOut) {
  Permit permit{1, 1, 2};
  permit.set_limit(0, 0, 100);
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(permit.acquire(i & 1, 0, 0));
  permit.set_limit(0, 0, 50);
  EXPECT_EQ(permit.in_use(0, 0), 60u);
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(permit.acquire(i & 1, 0, 0));
    permit.release(i & 1, 0, 0);
  }
  EXPECT_FALSE(permit.acquire(0, 0, 0)) << "50 are in use";
  permit.release(0, 0, 0);
  EXPECT_TRUE(permit.acquire(1, 0, 0));
  permit.set_limit(0, 0, 52);
  EXPECT_TRUE(permit.acquire(0, 0, 0));
  EXPECT_TRUE(permit.acquire(0, 0, 0));
  EXPECT_FALSE(permit.acquire(0, 0, 0));
}

// Two threads that fight for few permits: never more in use than the limit, and the limit is reached.
TEST(Permit, HoldsBetweenThreadsWhileTheLimitMoves) {
  constexpr std::uint32_t limit = 40;
  Permit permit{1, 1, 2};
  permit.set_limit(0, 0, limit);
  std::atomic<std::uint32_t> held{0}, most{0};
  std::atomic<bool> over{false};
  const auto work = [&](unsigned worker) {
    std::uint32_t mine = 0;
    for (int round = 0; round < 20'000; ++round) {
      if ((round >> 6 & 1) == 0) {
        if (permit.acquire(worker, 0, 0)) {
          const std::uint32_t now = held.fetch_add(1) + 1;
          ++mine;
          if (now > limit) over = true;
          for (std::uint32_t seen = most.load(); seen < now && !most.compare_exchange_weak(seen, now);) {}
        } else if (mine == 0) {
          std::this_thread::yield();
        }
      } else if (mine) {
        held.fetch_sub(1);
        --mine;
        permit.release(worker, 0, 0);
      }
    }
    while (mine--) {
      held.fetch_sub(1);
      permit.release(worker, 0, 0);
    }
  };
  std::thread other{work, 1};
  std::thread mover{[&] {  // lower limits are checked by the sum at the end; the highest is the one that must hold
    for (int i = 0; i < 200; ++i) {
      permit.set_limit(0, 0, limit / 2);
      std::this_thread::yield();
      permit.set_limit(0, 0, limit);
    }
  }};
  work(0);
  other.join();
  mover.join();
  EXPECT_FALSE(over) << "more than the limit were held at once";
  EXPECT_EQ(permit.in_use(0, 0), 0u);
  for (std::uint32_t i = 0; i < limit; ++i) ASSERT_TRUE(permit.acquire(i & 1, 0, 0)) << "a permit was lost";
  EXPECT_FALSE(permit.acquire(0, 0, 0)) << "a permit was made up";
  EXPECT_GT(most.load(), 0u);
}

// Both threads acquire until both are refused: together they hold exactly the limit.
TEST(Permit, TwoThreadsTogetherReachTheLimitExactly) {
  for (const std::uint32_t limit : {1u, 5u, 64u, 500u}) {
    Permit permit{1, 1, 2};
    permit.set_limit(0, 0, limit);
    std::atomic<std::uint32_t> held{0};
    const auto work = [&](unsigned worker) {
      for (int refused = 0; refused < 100;) {
        if (permit.acquire(worker, 0, 0)) held.fetch_add(1);
        else ++refused;
      }
    };
    std::thread other{work, 1};
    work(0);
    other.join();
    EXPECT_EQ(held.load(), limit);
  }
}

}  // namespace
}  // namespace sluice
