#include "l4/tcp/seq.h"

#include <gtest/gtest.h>

namespace sluice::tcp {
namespace {

// RFC 9293 3.4: arithmetic modulo 2^32, order by the shorter way round.
TEST(Seq, OrdersAcrossTheWrap) {
  const Seq before{0xffff'fff0};
  const Seq after = before + 0x20;
  EXPECT_EQ(after.value, 0x10u);
  EXPECT_LT(before, after);
  EXPECT_LE(before, after);
  EXPECT_GT(after, before);
  EXPECT_GE(after, before);
  EXPECT_EQ(after - before, 0x20);
  EXPECT_EQ(before - after, -0x20);
  EXPECT_EQ(after - 0x20, before);
  EXPECT_EQ(later(before, after), after);
  EXPECT_EQ(earlier(before, after), before);
}

TEST(Seq, IsAnOrderUpToHalfTheCircle) {
  for (const std::uint32_t start : {0u, 1u, 0x7fff'ffffu, 0x8000'0000u, 0xffff'ffffu}) {
    const Seq a{start};
    EXPECT_LT(a, a + 0x7fff'ffff) << start;
    EXPECT_FALSE(a < a);
    EXPECT_GT(a, a + 0x8000'0001) << start;
  }
}

}  // namespace
}  // namespace sluice::tcp
