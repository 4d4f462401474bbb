#include "l4/tcp/delayed_acks.h"

#include <gtest/gtest.h>

#include <vector>

#include "l4/tcp/tcb.h"

namespace sluice::tcp {
namespace {

class DelayedAcksTest : public testing::Test {
 protected:
  std::vector<const Tcb*> due(Nanos now, unsigned budget = 100) {
    std::vector<const Tcb*> out;
    acks_.advance(now, budget, [&](Tcb& t) { out.push_back(&t); });
    return out;
  }

  DelayedAcks acks_{4};
  std::array<Tcb, 6> tcbs_;
};

TEST_F(DelayedAcksTest, AreDueInTurnAndNeverEarly) {
  EXPECT_EQ(acks_.next(), Nanos::never());
  acks_.add(tcbs_[0], Nanos{100});
  acks_.add(tcbs_[1], Nanos{200});
  EXPECT_EQ(acks_.next(), Nanos{100});
  EXPECT_TRUE(due(Nanos{99}).empty());
  EXPECT_EQ(due(Nanos{100}), std::vector<const Tcb*>{&tcbs_[0]});
  EXPECT_EQ(acks_.next(), Nanos{200});
  EXPECT_EQ(due(Nanos{500}), std::vector<const Tcb*>{&tcbs_[1]});
  EXPECT_EQ(acks_.next(), Nanos::never());
}

TEST_F(DelayedAcksTest, OneThatIsRemovedWakesNobody) {
  const std::uint32_t first = acks_.add(tcbs_[0], Nanos{100}), second = acks_.add(tcbs_[1], Nanos{200});
  acks_.add(tcbs_[2], Nanos{300});
  acks_.remove(second);
  acks_.remove(first);
  EXPECT_EQ(acks_.next(), Nanos{300});
  EXPECT_EQ(due(Nanos{300}), std::vector<const Tcb*>{&tcbs_[2]});
}

TEST_F(DelayedAcksTest, RefusesWhenFullAndGoesRoundForEver) {
  for (int i = 0; i < 4; ++i) EXPECT_NE(acks_.add(tcbs_[i], Nanos{i}), DelayedAcks::none);
  EXPECT_EQ(acks_.add(tcbs_[4], Nanos{5}), DelayedAcks::none);
  for (int i = 4; i < 1000; ++i) {
    EXPECT_EQ(due(Nanos{i - 4}), std::vector<const Tcb*>{&tcbs_[(i - 4) % 6]});
    const std::uint32_t place = acks_.add(tcbs_[i % 6], Nanos{i});
    EXPECT_TRUE(acks_.holds(place, tcbs_[i % 6]));
    EXPECT_FALSE(acks_.holds(place, tcbs_[(i + 1) % 6]));
  }
}

TEST_F(DelayedAcksTest, StopsAtItsBudget) {
  for (int i = 0; i < 3; ++i) acks_.add(tcbs_[i], Nanos{10});
  EXPECT_EQ(due(Nanos{10}, 2).size(), 2u);
  EXPECT_EQ(acks_.next(), Nanos{10});
  EXPECT_EQ(due(Nanos{10}, 2).size(), 1u);
}

TEST_F(DelayedAcksTest, WhoIsDueMayAddAndRemoveOthers) {
  std::uint32_t other = DelayedAcks::none;
  acks_.add(tcbs_[0], Nanos{10});
  other = acks_.add(tcbs_[1], Nanos{10});
  acks_.advance(Nanos{10}, 100, [&](Tcb& t) {
    EXPECT_EQ(&t, &tcbs_[0]);
    acks_.remove(other);
    acks_.add(tcbs_[2], Nanos{50});
  });
  EXPECT_EQ(acks_.next(), Nanos{50});
}

// The clock may seem to go back by a little between calls (a burst is stamped once).
TEST_F(DelayedAcksTest, ATimeBeforeTheLastOneGoesWithIt) {
  acks_.add(tcbs_[0], Nanos{100});
  acks_.add(tcbs_[1], Nanos{90});
  EXPECT_TRUE(due(Nanos{95}).empty());
  EXPECT_EQ(due(Nanos{100}).size(), 2u);
}

}  // namespace
}  // namespace sluice::tcp
