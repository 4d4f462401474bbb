#include "dataplane/base/timers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "dataplane/base/rng.h"

namespace sluice {
namespace {

using namespace literals;

std::vector<std::uint32_t> fire(TimerWheel& wheel, Nanos now, unsigned budget = ~0u) {
  std::vector<std::uint32_t> fired;
  const unsigned count = wheel.advance(now, budget, [&](std::uint32_t index) { fired.push_back(index); });
  EXPECT_EQ(count, fired.size());
  return fired;
}

TEST(TimerWheel, FiresNeverEarlyAndAtMostOneTickLate) {
  for (const Nanos delay : {1_ns, 1_ms, 63_ms, 64_ms, 65_ms, 4095_ms, 4096_ms, 4097_ms, 3600_s, 864000_s}) {
    TimerWheel wheel{1, 1_ms, 5_s};
    EXPECT_TRUE(fire(wheel, 5_s).empty());
    const Nanos deadline = 5_s + delay;
    wheel.arm(0, deadline);
    EXPECT_LE(wheel.next(), deadline + 1_ms);
    EXPECT_TRUE(fire(wheel, deadline - 1_ns).empty()) << delay.ns;
    EXPECT_TRUE(wheel.armed(0));
    EXPECT_EQ(fire(wheel, deadline + 1_ms).size(), 1u) << delay.ns;
    EXPECT_FALSE(wheel.armed(0));
    EXPECT_EQ(wheel.next(), Nanos::never());
  }
}

TEST(TimerWheel, RearmingLaterIsLazyAndEarlierMoves) {
  TimerWheel wheel{2, 1_ms, 0_s};
  wheel.arm(0, 10_ms);
  wheel.arm(0, 500_ms);
  wheel.arm(1, 500_ms);
  wheel.arm(1, 10_ms);
  EXPECT_EQ(fire(wheel, 20_ms), std::vector<std::uint32_t>{1});
  EXPECT_EQ(wheel.armed_count(), 1u);
  EXPECT_EQ(fire(wheel, 500_ms), std::vector<std::uint32_t>{0});
  wheel.arm(0, 600_ms);
  wheel.cancel(0);
  EXPECT_FALSE(wheel.armed(0));
  EXPECT_TRUE(fire(wheel, 10_s).empty());
  wheel.arm(0, 20_s);
  wheel.cancel(0);
  wheel.arm(0, 30_s);
  EXPECT_TRUE(fire(wheel, 29_s).empty());
  EXPECT_EQ(fire(wheel, 30_s).size(), 1u);
}

// An early deadline that is put off or cancelled leaves nothing that would come up for nothing.
TEST(TimerWheel, AnEarlierPlaceIsGivenUpWhenTheOldOneWillDo) {
  TimerWheel wheel{8, 1_ms, 0_s};
  wheel.arm(0, 10_s);
  for (int i = 0; i < 100; ++i) {
    wheel.arm(0, 40_ms);
    EXPECT_LE(wheel.next(), 40_ms);
    wheel.arm(0, 30_ms);
    EXPECT_LE(wheel.next(), 30_ms);
    wheel.arm(0, 11_s);
    EXPECT_GT(wheel.next(), 5_s);
    wheel.arm(0, 20_ms);
    wheel.cancel(0);
    EXPECT_EQ(wheel.next(), Nanos::never());
    wheel.arm(0, 10_s);
    EXPECT_GT(wheel.next(), 5_s);
  }
  wheel.arm(0, 20_ms);
  wheel.arm(0, 30_ms);  // lazily: nothing else stands for it
  EXPECT_TRUE(fire(wheel, 25_ms).empty());
  EXPECT_EQ(fire(wheel, 30_ms), std::vector<std::uint32_t>{0});
}

TEST(TimerWheel, APassedDeadlineFiresAtTheNextTickAndAHandlerCannotHoldTheWorker) {
  TimerWheel wheel{1, 1_ms, 0_s};
  fire(wheel, 100_ms);
  wheel.arm(0, 5_ms);
  EXPECT_EQ(fire(wheel, 101_ms).size(), 1u);
  wheel.arm(0, 0_s);
  int calls = 0;
  wheel.advance(102_ms, ~0u, [&](std::uint32_t index) {
    ++calls;
    wheel.arm(index, 0_s);
  });
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(wheel.armed(0));
}

TEST(TimerWheel, ABudgetSpreadsABurstOverCallsAndLosesNobody) {
  TimerWheel wheel{1000, 1_ms, 0_s};
  for (std::uint32_t i = 0; i < 1000; ++i) wheel.arm(i, 100_ms);  // moved down a level once, then fired
  std::vector<std::uint32_t> all;
  for (int call = 0; call < 2000 && all.size() < 1000; ++call) {
    const auto fired = fire(wheel, 200_ms, 7);
    EXPECT_LE(fired.size(), 7u);
    all.insert(all.end(), fired.begin(), fired.end());
    if (call == 3) wheel.arm(999, 90_ms);  // while the wheel is behind
  }
  std::sort(all.begin(), all.end());
  ASSERT_EQ(all.size(), 1000u);
  for (std::uint32_t i = 0; i < 1000; ++i) EXPECT_EQ(all[i], i);
}

// What wakes among many that sleep: their own places stay far off, spares stand in for them, and when those have run
// out the places themselves are moved.
TEST(TimerWheel, MoreWakeThanThereAreSparesAndAllFireInTime) {
  constexpr std::uint32_t count = 4000;
  TimerWheel wheel{count, 1_ms, 0_s};
  for (int round = 0; round < 3; ++round) {
    const Nanos begin = 1000_s * round;
    fire(wheel, begin);
    for (std::uint32_t i = 0; i < count; ++i) wheel.arm(i, begin + 120_s);
    for (std::uint32_t i = 0; i < count; i += 2) wheel.arm(i, begin + 1_ms * (10 + i % 90));
    for (std::uint32_t i = 0; i < count; i += 4) wheel.arm(i, begin + 1_ms * (5 + i % 90));  // earlier still
    std::vector<unsigned> times(count);
    for (int ms = 1; ms <= 200; ++ms)
      for (const std::uint32_t i : fire(wheel, begin + 1_ms * ms)) {
        EXPECT_EQ(ms, static_cast<int>((i % 4 ? 10 : 5) + i % 90)) << i;
        ++times[i];
        wheel.arm(i, begin + 130_s);  // and sleeps again
      }
    for (std::uint32_t i = 0; i < count; ++i) EXPECT_EQ(times[i], i % 2 ? 0u : 1u) << i;
    EXPECT_EQ(wheel.armed_count(), count);
    const auto rest = fire(wheel, begin + 120_s);
    EXPECT_EQ(rest.size(), count / 2);
    EXPECT_EQ(fire(wheel, begin + 130_s).size(), count / 2);
    EXPECT_EQ(wheel.next(), Nanos::never());
  }
}

// A handler that arms the others of its tick anew, earlier and later, while the wheel already looks ahead at them.
TEST(TimerWheel, AHandlerMayArmThoseThatAreAboutToFire) {
  constexpr std::uint32_t count = 64;
  TimerWheel wheel{count, 1_ms, 0_s};
  for (std::uint32_t i = 0; i < count; ++i) wheel.arm(i, 3600_s);
  for (std::uint32_t i = 0; i < count; ++i) wheel.arm(i, 10_ms);
  wheel.advance(10_ms, ~0u, [&](std::uint32_t index) {
    wheel.arm((index + 1) % count, 20_ms);
    wheel.arm((index + 2) % count, 5_ms);
    wheel.cancel((index + 3) % count);
  });
  std::vector<std::uint32_t> armed;
  for (std::uint32_t i = 0; i < count; ++i)
    if (wheel.armed(i)) armed.push_back(i);
  EXPECT_EQ(armed.size(), wheel.armed_count());
  auto rest = fire(wheel, 20_ms);
  std::sort(rest.begin(), rest.end());
  EXPECT_EQ(rest, armed) << "each that is armed fires once, nobody else";
  EXPECT_EQ(wheel.next(), Nanos::never());
}

// Against the obvious implementation: an array that is searched whole. Every second seed has some of the entries in the
// tails of a pool, whose objects come and go meanwhile: that is the wheel's owner's affair.
TEST(TimerWheel, AgreesWithASearchedArrayOverRandomOperations) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Rng rng{seed};
    constexpr std::uint32_t count = 50;
    Pool<std::uint64_t, TimerEntry> pool{20};
    std::vector<std::uint64_t*> objects;
    while (std::uint64_t* object = pool.make(~std::uint64_t{0})) objects.push_back(object);
    TimerWheel wheel{count, 1_ms, 0_s, seed % 2 ? timer_places(pool) : TimerPlaces{}};
    std::vector<Nanos> model(count, Nanos::never());
    Nanos now = 0_s;
    for (int step = 0; step < 3000; ++step) {
      const std::uint32_t index = rng.below(count);
      const std::uint32_t what = rng.below(10);
      std::uint64_t*& object = objects[rng.below(20)];
      pool.free(object);
      object = pool.make(rng.next());
      if (what < 6) {
        // Whole milliseconds in the future, so that both agree to the tick.
        const Nanos deadline = now + 1_ms * (1 + rng.below(1u << rng.below(20)));
        wheel.arm(index, deadline);
        model[index] = deadline;
      } else if (what < 7) {
        wheel.cancel(index);
        model[index] = Nanos::never();
      } else {
        now += 1_ms * rng.below(1u << rng.below(18));
        auto fired = fire(wheel, now, rng.below(3) ? ~0u : 3);
        for (auto rest = fire(wheel, now, 5); !rest.empty() || wheel.next() <= now; rest = fire(wheel, now, 5))
          fired.insert(fired.end(), rest.begin(), rest.end());
        std::sort(fired.begin(), fired.end());
        std::vector<std::uint32_t> expected;
        for (std::uint32_t i = 0; i < count; ++i)
          if (model[i] <= now) {
            expected.push_back(i);
            model[i] = Nanos::never();
          }
        ASSERT_EQ(fired, expected) << "seed " << seed << " step " << step;
      }
      for (std::uint32_t i = 0; i < count; ++i) ASSERT_EQ(wheel.deadline(i), model[i]);
    }
  }
}

}  // namespace
}  // namespace sluice
