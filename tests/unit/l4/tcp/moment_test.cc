#include "l4/tcp/moment.h"

#include <gtest/gtest.h>

namespace sluice::tcp {
namespace {

using namespace literals;

TEST(Deadline, IsNeverEarlyAndAtMostAStepLate) {
  for (const std::int64_t base : {std::int64_t{0}, (std::int64_t{1} << 48) - 50'000, std::int64_t{1} << 55})
    for (std::int64_t ns = base; ns < base + 400'000; ns += 7'001) {
      const Deadline at{Nanos{ns}};
      EXPECT_FALSE(at <= Nanos{ns - 1}) << ns;
      EXPECT_TRUE(at <= Nanos{ns + 131'072}) << ns;
      EXPECT_GE(at.nanos(Nanos{base}).ns, ns);
      EXPECT_LT(at.nanos(Nanos{base}).ns, ns + 131'072);
    }
}

TEST(Deadline, NeverIsNotDueAndComesLast) {
  const Deadline never, soon{Nanos{1_s}};
  EXPECT_FALSE(never <= Nanos{1'000'000'000'000'000});
  EXPECT_EQ(never, Nanos::never());
  EXPECT_EQ(never.nanos(Nanos{5}), Nanos::never());
  EXPECT_TRUE(soon.before(never));
  EXPECT_FALSE(never.before(soon));
  EXPECT_FALSE(never.before(never));
  EXPECT_EQ(Deadline::first(never, soon), soon);
  EXPECT_EQ(Deadline::first(soon, never), soon);
}

TEST(Deadline, OrderHoldsWhereTheStepsWrap) {
  const Nanos wrap{std::int64_t{1} << 48};
  const Deadline a{wrap - 1_s}, b{wrap + 1_s};
  EXPECT_TRUE(a.before(b));
  EXPECT_FALSE(b.before(a));
  EXPECT_EQ(b.nanos(wrap - 1_s).ns >> 20, (wrap + 1_s).ns >> 20);
}

TEST(Moment, TellsHowLongAgoAlsoWhereTheStepsWrap) {
  for (const Nanos then : {Nanos{0}, Nanos{5_s}, Nanos{(std::int64_t{1} << 46) - 1000}})
    for (const Nanos by : {Nanos{0}, Nanos{1_ms}, Nanos{3'600'000'000'000}}) {
      const Nanos ago = then + by - Moment{then};
      EXPECT_LE(ago.ns, by.ns + 16'384);
      EXPECT_GE(ago.ns, by.ns - 16'384);
    }
}

}  // namespace
}  // namespace sluice::tcp
