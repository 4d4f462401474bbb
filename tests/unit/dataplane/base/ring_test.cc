#include "dataplane/base/ring.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <memory>
#include <thread>

namespace sluice {
namespace {

TEST(SpscRing, TakesWhatFitsAndLeavesTheRestWithTheCaller) {
  SpscRing<std::unique_ptr<int>> ring{3};
  ASSERT_EQ(ring.capacity(), 4u);
  std::array<std::unique_ptr<int>, 6> in;
  for (int i = 0; i < 6; ++i) in[i] = std::make_unique<int>(i);
  EXPECT_EQ(ring.push(in), 4u);
  EXPECT_EQ(in[3], nullptr);
  EXPECT_NE(in[4], nullptr) << "what did not fit is still the caller's";
  EXPECT_FALSE(ring.push(std::move(in[4])));
  EXPECT_NE(in[4], nullptr);
  std::array<std::unique_ptr<int>, 6> out;
  EXPECT_EQ(ring.pop(out), 4u);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(*out[i], i);
  EXPECT_TRUE(ring.empty());
  EXPECT_TRUE(ring.push(std::move(in[4])));
  EXPECT_EQ(ring.size(), 1u);
}

TEST(SpscRing, TwoThreadsSeeEveryItemOnceInOrder) {
  constexpr std::uint64_t total = 200'000;
  SpscRing<std::uint64_t> ring{64};
  std::thread producer{[&] {
    std::uint64_t next = 0;
    while (next < total) {
      std::array<std::uint64_t, 7> burst;
      std::size_t n = 0;
      for (; n < burst.size() && next + n < total; ++n) burst[n] = next + n;
      const std::size_t pushed = ring.push(std::span{burst}.first(n));
      next += pushed;
      if (!pushed) std::this_thread::yield();
    }
  }};
  std::uint64_t expected = 0;
  bool in_order = true;
  while (expected < total) {
    std::array<std::uint64_t, 5> burst;
    const std::size_t n = ring.pop(burst);
    for (std::size_t i = 0; i < n; ++i) in_order &= burst[i] == expected++;
    if (!n) std::this_thread::yield();
  }
  producer.join();
  EXPECT_TRUE(in_order);
  EXPECT_TRUE(ring.empty());
}

}  // namespace
}  // namespace sluice
