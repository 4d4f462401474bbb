#include "l4/maglev.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "dataplane/base/rng.h"

namespace sluice {
namespace {

std::vector<Backend> backends(unsigned count, unsigned network = 0) {
  std::vector<Backend> out;
  for (unsigned i = 0; i < count; ++i)
    out.push_back({i, {IpAddress::from_v4(0x0a000001 + network * 65536 + i), 80}, 1});
  return out;
}

std::vector<std::uint32_t> shares(const Maglev& table, std::size_t count) {
  std::vector<std::uint32_t> out(count);
  for (const std::uint16_t slot : table.slots()) ++out[slot];
  return out;
}

TEST(Maglev, OnlyPrimesMakeATable) {
  for (std::uint32_t prime : {3u, 5u, 251u, 65537u, 655373u, 16777213u})
    EXPECT_TRUE(maglev_size_is_good(prime)) << prime;
  for (std::uint32_t bad : {0u, 1u, 4u, 9u, 65536u, 65535u, 16777259u}) EXPECT_FALSE(maglev_size_is_good(bad)) << bad;
}

TEST(Maglev, EqualWeightsDifferByAtMostOneSlot) {
  for (unsigned count : {1u, 2u, 3u, 7u, 100u, 251u}) {
    for (std::uint32_t size : {251u, 65537u}) {
      const auto share = shares(Maglev(backends(count), size), count);
      const auto [least, most] = std::ranges::minmax(share);
      EXPECT_LE(most - least, 1u) << count << " of " << size;
    }
  }
}

TEST(Maglev, SharesFollowWeights) {
  auto b = backends(4);
  b[0].weight = 1;
  b[1].weight = 2;
  b[2].weight = 5;
  b[3].weight = 0;
  const auto share = shares(Maglev(b), 4);
  EXPECT_NEAR(share[0], 65537 / 8.0, 8);
  EXPECT_NEAR(share[1], 65537 / 4.0, 8);
  EXPECT_NEAR(share[2], 65537 * 5 / 8.0, 8);
  EXPECT_EQ(share[3], 0u) << "weight 0 takes no new flows";
}

TEST(Maglev, NoBackendNoChoice) {
  EXPECT_EQ(Maglev{}.choose(5), Maglev::none);
  auto b = backends(2);
  b[0].weight = b[1].weight = 0;
  EXPECT_EQ(Maglev(b).choose(5), Maglev::none);
}

// semantics.md: at most 1.2 % of the others' slots move, and at most 0.7 % when M >= 650 n.
TEST(Maglev, RemovingOneHardlyMovesTheOthers) {
  for (std::uint32_t size : {65537u, 655373u}) {
    for (unsigned count : {3u, 4u, 8u, 10u, 50u, 100u, 300u, 1000u}) {
      const double bound = size >= 650 * count ? 0.007 : 0.012;
      const unsigned networks = size > 100000 ? 1 : 4;
      for (unsigned network = 0; network < networks; ++network) {
        const auto b = backends(count, network);
        const Maglev before(b, size);
        for (unsigned gone : {0u, count / 2, count - 1}) {
          auto fewer = b;
          fewer[gone].weight = 0;
          const Maglev after(fewer, size);
          std::uint32_t others = 0, moved = 0;
          for (std::uint32_t slot = 0; slot < size; ++slot) {
            if (before.slots()[slot] == gone) continue;
            ++others;
            moved += before.slots()[slot] != after.slots()[slot];
          }
          EXPECT_LE(moved, bound * others) << size << " slots, " << count << " backends, without " << gone;
        }
      }
    }
  }
}

TEST(Maglev, TheOrderOfTheInputDoesNotMatter) {
  auto b = backends(20), shuffled = b;
  Rng rng{1};
  for (std::size_t i = shuffled.size(); i > 1; --i)
    std::swap(shuffled[i - 1], shuffled[rng.below(static_cast<std::uint32_t>(i))]);
  const Maglev one(b), other(shuffled);
  for (std::size_t i = 0; i < one.slots().size(); ++i)
    ASSERT_EQ(b[one.slots()[i]].endpoint, shuffled[other.slots()[i]].endpoint) << i;
}

TEST(Maglev, ChooseCoversTheWholeTable) {
  const Maglev table(backends(5), 251);
  EXPECT_EQ(table.choose(0), table.slots().front());
  EXPECT_EQ(table.choose(~std::uint64_t{0}), table.slots().back());
}

}  // namespace
}  // namespace sluice
