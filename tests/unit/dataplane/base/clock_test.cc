#include "dataplane/base/clock.h"

#include <gtest/gtest.h>
#include <time.h>

#include <chrono>
#include <thread>

namespace sluice {
namespace {

TEST(Clock, RunsAtTheSpeedOfTheKernelsClock) {
  const Clock clock;
  using kernel = std::chrono::steady_clock;
  // The kernel's clock on either side of ours: this thread may lose the CPU between any two of them.
  const auto outer_began = kernel::now();
  const Nanos before = clock.now();
  const auto inner_began = kernel::now();
  std::this_thread::sleep_for(std::chrono::milliseconds{50});
  const auto inner_ended = kernel::now();
  const Nanos after = clock.now();
  const auto outer_ended = kernel::now();
  const auto in_ns = [](kernel::duration d) { return static_cast<double>(d / std::chrono::nanoseconds{1}); };
  EXPECT_GT(before.ns, 0);
  EXPECT_GE(static_cast<double>((after - before).ns), 0.95 * in_ns(inner_ended - inner_began));
  EXPECT_LE(static_cast<double>((after - before).ns), 1.05 * in_ns(outer_ended - outer_began));
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
