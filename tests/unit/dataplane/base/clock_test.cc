#include "dataplane/base/clock.h"

#include <gtest/gtest.h>
#include <time.h>

#include <chrono>
#include <thread>

namespace sluice {
namespace {

TEST(Clock, RunsAtTheSpeedOfTheKernelsClock) {
  const Clock clock;
  const auto began = std::chrono::steady_clock::now();
  const Nanos before = clock.now();
  std::this_thread::sleep_for(std::chrono::milliseconds{50});
  const Nanos after = clock.now();
  const std::int64_t kernel = (std::chrono::steady_clock::now() - began) / std::chrono::nanoseconds{1};
  EXPECT_GT(before.ns, 0);
  EXPECT_NEAR(static_cast<double>((after - before).ns), static_cast<double>(kernel),
              0.05 * static_cast<double>(kernel));
}

TEST(Clock, ConvertsCyclesWithoutOverflow) {
  const Clock clock{2'000'000'000};
  const std::uint64_t base = rte_rdtsc();
  EXPECT_EQ((clock.from_tsc(base + 2'000'000'000ull * 86'400 * 365) - clock.from_tsc(base)).ns / 1'000'000'000,
            86'400 * 365);
  EXPECT_NEAR(static_cast<double>((clock.from_tsc(base + 2000) - clock.from_tsc(base)).ns), 1000, 1);
}

TEST(Clock, KnowsTheWallTime) {
  const Clock clock;
  EXPECT_NEAR(static_cast<double>(clock.wall_ns(clock.now()) / 1'000'000'000), static_cast<double>(time(nullptr)), 2);
}

}  // namespace
}  // namespace sluice
