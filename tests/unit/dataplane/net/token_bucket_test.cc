#include "dataplane/net/token_bucket.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using namespace literals;

TEST(TokenBucket, GivesTheBurstThenTheRate) {
  TokenBucket bucket{10, 3};
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.take(5_s));
  EXPECT_FALSE(bucket.take(5_s));
  EXPECT_FALSE(bucket.take(5_s + 99_ms));
  EXPECT_TRUE(bucket.take(5_s + 100_ms));
  EXPECT_FALSE(bucket.take(5_s + 100_ms));
}

TEST(TokenBucket, NeverSavesMoreThanTheBurst) {
  TokenBucket bucket{1000, 4};
  int taken = 0;
  while (bucket.take(Nanos{1'000'000'000'000'000'000})) ++taken;
  EXPECT_EQ(taken, 4);
}

TEST(TokenBucket, TimeThatStandsOrGoesBackGivesNothing) {
  TokenBucket bucket{1000, 1};
  EXPECT_TRUE(bucket.take(1_s));
  EXPECT_FALSE(bucket.take(1_s));
  EXPECT_FALSE(bucket.take(0_s));
}

}  // namespace
}  // namespace sluice
