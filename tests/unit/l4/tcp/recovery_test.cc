// Loss recovery as conversations with a scripted peer: what is sent again and when, how much goes in recovery, what is
// taken back. Expectations are the RFCs', and Linux's where they leave freedom.
#include "l4/tcp/recovery.h"

#include "tests/unit/l4/tcp/recovery_script.h"

namespace sluice::tcp {
namespace {

TEST_F(RecoveryTest, InRecoveryOneGoesForEachThatArrives) {  // RFC 6937, window at ssthresh all the way
  open();
  give(10 * mss);
  EXPECT_EQ(sent(), "0 1 2 3 4 5 6 7 8 9");
  later(110_ms);
  ack(0, {{1, 2}});
  EXPECT_EQ(sent(), "");
  EXPECT_EQ(mode(), State::disorder);
  ack(0, {{1, 3}});
  ack(0, {{1, 4}});
  EXPECT_EQ(sent(), "0");
  EXPECT_EQ(mode(), State::recovery);
  EXPECT_EQ(cwnd(), 7u);
  EXPECT_EQ(ssthresh(), 7u);
  give(7 * mss);
  EXPECT_EQ(sent(), "");
  for (std::uint32_t n = 5; n <= 10; ++n) {
    ack(0, {{1, n}});
    EXPECT_EQ(sent(), std::to_string(n + 5));
  }
  ack(10);
  EXPECT_EQ(sent(), "16");
  EXPECT_EQ(mode(), State::open);
  EXPECT_EQ(cwnd(), 7u);
}

TEST_F(RecoveryTest, BelowSsthreshItIsConservativeUntilThePeerMovesOn) {  // RFC 9937 (PRR): CRB, then SSRB
  open(true, false, 10_ms);
  give(20 * mss);
  EXPECT_EQ(sent(), "0 1 2 3 4 5 6 7 8 9");
  later(10_ms);
  const std::string expected[] = {"10", "11", "0", "1", "2", "3"};
  for (std::uint32_t n = 5; n <= 10; ++n) {
    ack(0, {{4, n}});
    EXPECT_EQ(sent(), expected[n - 5]) << n;
    later(2_ms);
  }
  ack(0, {{4, 11}});
  EXPECT_EQ(sent(), "12");
  later(2_ms);
  ack(0, {{4, 12}});
  EXPECT_EQ(sent(), "13");
  later(10_ms);
  ack(1, {{4, 12}});
  EXPECT_EQ(sent(), "14 15") << "one more than was delivered, while nothing new is lost";
  later(2_ms);
  ack(1, {{2, 12}});
  EXPECT_EQ(sent(), "1 16") << "what overtook it says that the retransmission is lost as well";
}

TEST_F(RecoveryTest, SackOnAnOldAckCounts) {
  open(true, false, 10_ms);
  give(10 * mss);
  sent();
  later(10_ms);
  ack(0, {{1, 2}});
  ack(0, {{1, 3}});
  ack(0, {{1, 3}, {8, 9}});
  EXPECT_EQ(sent(), "0");
  later(12_ms);
  ack(4, {{8, 9}});
  EXPECT_EQ(sent(), "4 5 6");
  give(10 * mss);
  EXPECT_EQ(sent(), "");
  later(2_ms);
  ack(3, {{5, 7}});  // overtaken
  EXPECT_EQ(sent(), "7 10");
}

TEST_F(RecoveryTest, WithoutSackTheThirdDuplicateRepairsTheHead) {  // RFC 5681 3.2
  open(false);
  give(4 * mss);
  sent();
  later(100_ms);
  ack(0);
  ack(0);
  EXPECT_EQ(sent(), "");
  ack(0);
  EXPECT_EQ(sent(), "0");
  ack(2);  // partial: the next hole at once (RFC 6582 3.2)
  EXPECT_EQ(sent(), "2");
}

TEST_F(RecoveryTest, LimitedTransmit) {  // RFC 3042: a new segment for each of the first two duplicates
  for (const bool sack : {true, false}) {
    start({});
    open(sack);
    give(15 * mss);
    EXPECT_EQ(sent(), "0 1 2 3 4 5 6 7 8 9");
    later(110_ms);
    sack ? ack(0, {{1, 2}}) : ack(0);
    EXPECT_EQ(sent(), "10");
    later(10_ms);
    sack ? ack(0, {{1, 3}}) : ack(0);
    EXPECT_EQ(sent(), "11");
    later(10_ms);
    ack(3);  // reordering, not loss
    EXPECT_EQ(sent(), "12 13");
    later(20_ms);
    ack(5);
    EXPECT_EQ(sent(), "14");
    EXPECT_EQ(info().retransmits, 0u);
  }
}

TEST_F(RecoveryTest, ATimeoutSendsTheHeadAndStartsSlowly) {  // RFC 6298 5.4 to 5.6, RFC 5681 3.1
  open(false);
  give(10 * mss);
  sent();
  EXPECT_EQ(sent_within(299_ms), "");
  EXPECT_EQ(sent_within(3_ms), "0");
  EXPECT_EQ(cwnd(), 1u);
  EXPECT_EQ(ssthresh(), 7u);
  EXPECT_EQ(sent_within(598_ms), "");
  EXPECT_EQ(sent_within(5_ms), "0") << "twice as long";
  EXPECT_EQ(ssthresh(), 7u) << "once an episode";
  later(100_ms);
  ack(1);
  EXPECT_EQ(cwnd(), 2u);
  EXPECT_EQ(sent(), "1 2");
}

TEST_F(RecoveryTest, FRtoSendsNewDataAndTakesTheTimeoutBack) {  // RFC 5682 3.1
  open(false);
  give(6 * mss);
  sent();
  give(4 * mss);
  sent();
  EXPECT_EQ(sent_within(310_ms), "0");
  give(10 * mss);
  EXPECT_EQ(sent(), "");
  ack(1);  // the original had only been late
  EXPECT_EQ(sent(), "10 11") << "step 2.b: new data, not the next old one";
  ack(2);
  EXPECT_EQ(counters.get(Counter::tcp_spurious_timeouts), 1u);
  EXPECT_EQ(info().retransmits, 1u);
  EXPECT_GE(cwnd(), 10u);
}

TEST_F(RecoveryTest, FRtoBelievesDuplicatesAfterNewData) {  // RFC 5682 3.1, step 3.a
  open(false);
  give(10 * mss);
  sent();
  EXPECT_EQ(sent_within(310_ms), "0");
  give(10 * mss);
  ack(1);
  EXPECT_EQ(sent(), "10 11");
  ack(1);
  EXPECT_EQ(sent().substr(0, 1), "1") << "the loss was real: old data now";
  EXPECT_EQ(counters.get(Counter::tcp_spurious_timeouts), 0u);
}

TEST_F(RecoveryTest, FRtoBySackOfAnOriginal) {  // RFC 5682 3.2
  open();
  give(10 * mss);
  sent();
  EXPECT_EQ(sent_within(210_ms), "9") << "a probe first";
  EXPECT_EQ(sent_within(310_ms), "0");
  EXPECT_EQ(mode(), State::loss);
  ack(0, {{5, 6}});  // sent once, before the timeout
  EXPECT_EQ(mode(), State::disorder);
  EXPECT_EQ(cwnd(), 10u);
  EXPECT_EQ(info().ssthresh_segments, 0x7fffffffu);
}

TEST_F(RecoveryTest, TimestampsTellThatATimeoutWasForNothing) {  // RFC 3522
  open(false, true);
  give(10 * mss);
  sent();
  const std::uint32_t original = last.options.ts_value;
  EXPECT_EQ(sent_within(310_ms), "0");
  EXPECT_EQ(cwnd(), 1u);
  ack(1, {}, echo(original));
  EXPECT_EQ(cwnd(), 11u) << "what it was, and one for this ACK";
  EXPECT_EQ(counters.get(Counter::tcp_spurious_timeouts), 1u);
}

TEST_F(RecoveryTest, TimestampsTellThatAFastRetransmitWasForNothing) {
  open(true, true);
  give(10 * mss);
  sent();
  const std::uint32_t original = last.options.ts_value;
  later(100_ms);
  ack(0, {{1, 4}}, echo(original));
  EXPECT_EQ(sent(), "0");
  EXPECT_EQ(ssthresh(), 7u);
  ack(10, {}, echo(original));
  EXPECT_EQ(info().ssthresh_segments, 0x7fffffffu);
  EXPECT_GE(cwnd(), 10u);
  EXPECT_EQ(mode(), State::open);
}

TEST_F(RecoveryTest, DuplicatesToldTakeTheReductionBack) {  // RFC 3708, as Linux
  open();
  give(10 * mss);
  sent();
  later(100_ms);
  ack(0, {{1, 4}});
  EXPECT_EQ(sent(), "0");
  ack(4);
  EXPECT_EQ(ssthresh(), 7u);
  ack(4, {{0, 1}});  // both arrived
  EXPECT_EQ(info().ssthresh_segments, 0x7fffffffu);
  EXPECT_GE(cwnd(), 10u);
  EXPECT_EQ(info().duplicates_told, 1u);
}

TEST_F(RecoveryTest, BlocksThatCannotBeAreNoNews) {  // RFC 2018 8, RFC 2883: below SND.UNA, beyond SND.NXT, reversed
  open();
  give(10 * mss);
  sent();
  ack(2);
  for (const Block& b : {Block{0, 20}, {12, 14}, {8, 5}, {2, 4}, {0xffffff, 4}}) {
    ack(2, {b, {5, 6}});
    EXPECT_EQ(info().segments_sacked, 1u) << b.begin << " " << b.end;
  }
}

TEST_F(RecoveryTest, ARenegingPeerIsSentAllAgain) {  // RFC 2018 8
  open();
  give(6 * mss);
  sent();
  later(100_ms);
  ack(0, {{1, 6}});
  EXPECT_EQ(sent(), "0");
  later(50_ms);
  ack(1);  // and nothing of 1 to 5: they were dropped
  sent();
  std::string all;
  for (int i = 0; i < 20 && all.find('5') == std::string::npos; ++i) {
    all += sent_within(100_ms);
    if (!all.empty()) ack(static_cast<std::uint32_t>(all.back() - '0' + 1));
    all += sent();
  }
  for (const char* n : {"1", "2", "3", "4", "5"}) EXPECT_NE(all.find(n), std::string::npos) << n << " of " << all;
  ack(6);
  EXPECT_EQ(info().segments_out, 0u);
}

TEST_F(RecoveryTest, NineOfTenGrowTheWindowToTwiceNine) {  // Linux: slow start to twice what was in use
  open();
  give(9 * mss);
  sent();
  later(105_ms);
  for (const std::uint32_t n : {2, 4, 6, 8, 9}) {
    ack(n);
    EXPECT_EQ(cwnd(), std::min(10u + n, 18u));
  }
}

TEST_F(RecoveryTest, FiveOfTenGrowNothing) {
  open();
  give(5 * mss);
  sent();
  for (const std::uint32_t n : {2, 4, 5}) ack(n);
  EXPECT_EQ(cwnd(), 10u);
}

TEST_F(RecoveryTest, AfterAPauseTheWindowIsTheInitialOneAgain) {  // RFC 2861
  open();
  give(26 * mss);
  sent();
  later(100_ms);
  ack(10);
  EXPECT_EQ(cwnd(), 20u);
  sent();
  later(100_ms);
  ack(26);
  EXPECT_EQ(cwnd(), 36u);
  later(2_s);
  give(20 * mss);
  EXPECT_EQ(sent(), "26 27 28 29 30 31 32 33 34 35");
  EXPECT_EQ(cwnd(), 10u);
}

TEST_F(RecoveryTest, PshIsRepeatedWhereItWas) {
  open();
  give(4 * mss);
  sent();
  EXPECT_TRUE(last.flags & PSH);
  later(100_ms);
  ack(0, {{1, 4}});
  EXPECT_EQ(sent(), "0");
  EXPECT_FALSE(last.flags & PSH);
}

TEST_F(RecoveryTest, NothingBeyondAShrunkWindowIsRepeatedButTheHead) {
  open(false);
  give(4 * mss);
  sent();
  ack(0, {}, {}, 0, 0);
  EXPECT_EQ(sent_within(310_ms), "0") << "it probes the window";
  ack(1, {}, {}, 0, 0);
  EXPECT_EQ(sent(), "1");
  EXPECT_EQ(sent_within(100_ms), "");
}

TEST_F(RecoveryTest, TheRateIsWhatARoundTripDelivers) {  // draft-cheng-iccrg-delivery-rate-estimation
  open();
  give(10 * mss);
  sent();
  later(100_ms);
  ack(10);
  EXPECT_EQ(info().segments_delivered, 10u);
  EXPECT_NEAR(static_cast<double>(info().delivery_rate), 100'000, 2'000);
}

TEST_F(RecoveryTest, TheFirstAcksAreQuick) {  // Linux: sixteen at most, until the application answers
  Config c;
  c.quick_acks = 16;
  start(c);
  open();
  for (std::uint32_t n = 0; n < 3; ++n) {
    send({.flags = ACK, .seq = 101 + n * 100, .ack = iss + 1, .payload = std::string(100, 'a')});
    EXPECT_EQ(sent(), "ack");
  }
  give(mss);
  EXPECT_EQ(sent(), "0") << "an answer";
  send({.flags = ACK, .seq = 401, .ack = at(1), .payload = std::string(100, 'a')});
  EXPECT_EQ(sent(), "") << "now they wait for the next one";
  EXPECT_EQ(sent_within(41_ms), "ack");
}

}  // namespace
}  // namespace sluice::tcp
