#include "dataplane/base/units.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using namespace literals;

TEST(Nanos, LiteralsAgree) {
  EXPECT_EQ(1_s, 1000_ms);
  EXPECT_EQ(1_ms, 1000_us);
  EXPECT_EQ(1_us, 1000_ns);
  EXPECT_EQ((90_s).ns, 90'000'000'000);
}

TEST(Nanos, ReckonsAndRoundsTowardsZero) {
  Nanos t = 2_ms + 999_us;
  EXPECT_EQ(t.millis(), 2);
  EXPECT_EQ((-t).millis(), -2);
  EXPECT_EQ(t.micros(), 2999);
  EXPECT_DOUBLE_EQ(t.seconds(), 0.002999);
  t += 1_us;
  EXPECT_EQ(t / 1_ms, 3);
  EXPECT_EQ(t / 3, 1_ms);
  t -= 1_ms * 3;
  EXPECT_EQ(t, Nanos{});
  EXPECT_LT(1_s - 2_s, Nanos{});
  EXPECT_LT(100'000_s, Nanos::never());
}

}  // namespace
}  // namespace sluice
