#include "dataplane/base/rng.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace sluice {
namespace {

// Seed 0: state by splitmix64, whose first outputs for 0 are published (e220a8397b1dcdaf, 6e789e6aa1b965f4, ...), then
// xoshiro256**'s first output rotl(s1 * 5, 7) * 9 reckoned by hand from them.
TEST(Rng, StartsWhereSplitmixAndXoshiroSay) {
  Rng rng{0};
  EXPECT_EQ(rng.next(), std::rotl(0x6e789e6aa1b965f4u * 5, 7) * 9);
}

TEST(Rng, OneSeedReplays) {
  Rng a{42}, b{42}, c{43};
  bool differs = false;
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t value = a.next();
    ASSERT_EQ(value, b.next());
    differs |= value != c.next();
  }
  EXPECT_TRUE(differs);
}

TEST(Rng, BelowIsUniformAndInside) {
  Rng rng{5};
  std::array<int, 7> hits{};
  constexpr int n = 70'000;
  for (int i = 0; i < n; ++i) {
    const std::uint32_t value = rng.below(7);
    ASSERT_LT(value, 7u);
    ++hits[value];
  }
  for (const int each : hits) EXPECT_NEAR(each, n / 7, 5 * std::sqrt(n / 7.0));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(rng.below(1), 0u);
}

TEST(Rng, ChanceFollowsItsPpm) {
  Rng rng{6};
  int hits = 0;
  for (int i = 0; i < 100'000; ++i) {
    hits += rng.chance_ppm(100'000);
    ASSERT_FALSE(rng.chance_ppm(0));
    ASSERT_TRUE(rng.chance_ppm(1'000'000));
  }
  EXPECT_NEAR(hits, 10'000, 500);
}

}  // namespace
}  // namespace sluice
