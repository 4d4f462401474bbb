// RACK-TLP (RFC 8985) as conversations with a scripted peer.
#include "l4/tcp/rack.h"

#include "tests/unit/l4/tcp/recovery_script.h"

namespace sluice::tcp {
namespace {

TEST_F(RecoveryTest, AFewSackedAreGivenAQuarterOfTheLeastRtt) {  // RFC 8985 6.2 step 4
  open();
  give(4 * mss);
  sent();
  later(100_ms);
  ack(0, {{3, 4}});
  EXPECT_EQ(sent(), "");
  EXPECT_EQ(sent_within(24_ms), "");
  EXPECT_EQ(sent_within(5_ms), "0") << "the window is what the first retransmission makes it";
  EXPECT_EQ(mode(), State::recovery);
}

TEST_F(RecoveryTest, OnceReorderingWasSeenThreeSackedAreNoProof) {  // RFC 8985 6.2
  open();
  give(8 * mss);
  sent();
  later(100_ms);
  ack(0, {{2, 3}});
  ack(1, {{2, 3}});  // 0 came late: reordering
  EXPECT_TRUE(info().reordering);
  ack(3);
  ack(3, {{4, 7}});
  EXPECT_EQ(sent(), "");
  EXPECT_EQ(sent_within(30_ms), "3");
}

TEST_F(RecoveryTest, ATailIsProbedAfterTwoRoundTrips) {  // RFC 8985 7.2
  open();
  give(2 * mss);
  sent();
  EXPECT_EQ(sent_within(200_ms), "");
  EXPECT_EQ(sent_within(5_ms), "1") << "2 x SRTT and an allowance of 2 ms";
  EXPECT_EQ(counters.get(Counter::tcp_tail_probes), 1u);
  EXPECT_EQ(info().timeouts, 0u);
  // No second probe in an episode; the timeout counts from the probe.
  EXPECT_EQ(sent_within(290_ms), "");
  EXPECT_EQ(sent_within(20_ms), "0");
  EXPECT_EQ(info().timeouts, 1u);
}

TEST_F(RecoveryTest,
       ASegmentAloneIsProbedNotBeforeTheTimeout) {  // 2 x SRTT + rto_min, or the timeout if that is earlier
  open();
  give(mss);
  sent();
  ack(0);
  EXPECT_EQ(sent_within(290_ms), "");
  EXPECT_EQ(sent_within(15_ms), "0");
  EXPECT_EQ(counters.get(Counter::tcp_tail_probes), 1u);
  EXPECT_EQ(sent_within(305_ms), "0");
  EXPECT_EQ(info().timeouts, 1u);
  later(100_ms);
  ack(1);
  EXPECT_EQ(cwnd(), 2u);
  EXPECT_EQ(ssthresh(), 7u);
}

TEST_F(RecoveryTest, AProbeSendsNewDataWhereTheWindowsOfThePeerTakesIt) {  // RFC 8985 7.3
  open();
  give(12 * mss);
  EXPECT_EQ(sent(), "0 1 2 3 4 5 6 7 8 9");
  EXPECT_EQ(sent_within(204_ms), "10");
  later(100_ms);
  ack(0, {{10, 11}});
  EXPECT_EQ(sent(), "0") << "what was sent so long before is lost";
}

TEST_F(RecoveryTest, AProbeThatRepairedALossCutsTheWindow) {  // RFC 8985 7.4.2
  open();
  give(3 * mss);
  sent();
  EXPECT_EQ(sent_within(205_ms), "2");
  later(100_ms);
  give(mss);
  EXPECT_EQ(sent(), "3");
  ack(4);  // beyond the probe, and no duplicate was told
  EXPECT_EQ(ssthresh(), 7u);
  EXPECT_EQ(counters.get(Counter::tcp_tail_probe_recoveries), 1u);
}

TEST_F(RecoveryTest, AProbeThatWasForNothingCutsNothing) {
  open();
  give(3 * mss);
  sent();
  EXPECT_EQ(sent_within(205_ms), "2");
  ack(3);
  ack(3, {{2, 3}});  // DSACK: both arrived
  EXPECT_EQ(info().ssthresh_segments, 0x7fffffffu);
  EXPECT_EQ(counters.get(Counter::tcp_tail_probe_recoveries), 0u);
}

}  // namespace
}  // namespace sluice::tcp
