// What was sent and is not acknowledged: recovery, windows, probes, keepalive, as conversations with a scripted peer.
#include "tests/unit/l4/tcp/script.h"

namespace sluice::tcp {
namespace {

TEST_F(ScriptTest, FastRetransmitAfterThreeDuplicatesWithoutSack) {
  establish();
  give(1460 * 5);
  for (int i = 0; i < 5; ++i) EXPECT_SEGMENT(ACK, iss + 1 + 1460u * i, 101u);
  send({.flags = ACK, .seq = 101, .ack = iss + 1});
  send({.flags = ACK, .seq = 101, .ack = iss + 1});
  EXPECT_SILENCE();
  send({.flags = ACK, .seq = 101, .ack = iss + 1});
  EXPECT_SEGMENT(ACK, iss + 1, 101u);
  EXPECT_TRUE(info().in_recovery);
  // RFC 6582 4.1: not before something above the episode's end is acknowledged, or its duplicates would begin the next.
  send({.flags = ACK, .seq = 101, .ack = iss + 1 + 5 * 1460});
  EXPECT_TRUE(info().in_recovery);
  give(1460);
  EXPECT_SEGMENT(ACK, iss + 1 + 5 * 1460, 101u);
  send({.flags = ACK, .seq = 101, .ack = iss + 1 + 6 * 1460});
  EXPECT_FALSE(info().in_recovery);
}

TEST_F(ScriptTest, SackRecoversHolesAndLeftoverSacksDoNotEndIt) {
  establish({2, 4, 0x05, 0xb4, 4, 2, 1, 1});
  give(1460 * 8);
  for (int i = 0; i < 8; ++i) EXPECT_SEGMENT(ACK, iss + 1 + 1460u * i, 101u);
  const auto at = [&](unsigned n) { return iss + 1 + 1460 * n; };
  const auto sack = [&](std::uint32_t begin, std::uint32_t end) {
    Bytes o{1, 1, 5, 10, 0, 0, 0, 0, 0, 0, 0, 0};
    put32(&o[4], begin);
    put32(&o[8], end);
    return o;
  };
  now += 10_ms;
  send({.flags = ACK, .seq = 101, .ack = at(0), .options = sack(at(1), at(4))});
  EXPECT_SEGMENT(ACK, at(0), 101u);
  EXPECT_TRUE(info().in_recovery);
  send({.flags = ACK, .seq = 101, .ack = at(0), .options = sack(at(1), at(8))});
  EXPECT_TRUE(info().in_recovery) << "everything else is sacked, the hole is not filled";
  const std::uint32_t ssthresh = info().ssthresh;
  send({.flags = ACK, .seq = 101, .ack = at(8)});
  EXPECT_FALSE(info().in_recovery);
  EXPECT_EQ(info().ssthresh, ssthresh);
  EXPECT_EQ(info().in_flight, 0u);
}

TEST_F(ScriptTest, SsthreshIsCutOnceInATimeoutEpisode) {
  establish();
  give(1460 * 10);
  while (next()) {}
  later(1100_ms);
  EXPECT_SEGMENT(ACK, iss + 1, 101u);
  const std::uint32_t ssthresh = info().ssthresh_segments, timeouts = info().timeouts;
  EXPECT_LT(ssthresh, 10u);
  later(5_s);
  EXPECT_SEGMENT(ACK, iss + 1, 101u);
  EXPECT_GT(info().timeouts, timeouts);
  EXPECT_EQ(info().ssthresh_segments, ssthresh);
}

TEST_F(ScriptTest, TheWindowDoesNotGrowWhereItIsNotTheLimit) {
  establish();
  const std::uint32_t cwnd = info().cwnd;
  std::uint32_t at = iss + 1;
  for (int i = 0; i < 50; ++i) {
    give(500);
    EXPECT_SEGMENT(ACK, at, 101u);
    at += 500;
    send({.flags = ACK, .seq = 101, .ack = at});
  }
  EXPECT_EQ(info().cwnd, cwnd);
}

TEST_F(ScriptTest, ThePeersWindowIsScaledBehindTheHandshake) {  // RFC 7323 2.2, 2.3
  establish({2, 4, 0x05, 0xb4, 1, 3, 3, 2}, 300);
  give(5000);
  const auto got = next();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->payload.size(), 1200u);
}

TEST_F(ScriptTest, AWindowSmallerThanASegmentIsUsedAfterThePersistTime) {
  establish({2, 4, 0x05, 0xb4}, 20000);
  send({.flags = ACK, .seq = 101, .ack = iss + 1, .window = 100});
  send({.flags = ACK, .seq = 102, .ack = iss + 1, .window = 100});  // out of order number, not taken
  while (next()) {}
  give(5000);
  EXPECT_SILENCE();
  later(1100_ms);
  const auto got = next();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->payload.size(), 100u);
}

// A peer drops a reset beyond its window (RFC 9293 3.10.7.4): when it has taken its window back, ours must not lie
// there.
TEST_F(ScriptTest, AResetLiesWithinThePeersWindow) {
  establish({2, 4, 0x05, 0xb4}, 20000);
  give(5000);
  while (next()) {}
  send({.flags = ACK, .seq = 101, .ack = iss + 1 + 1460, .window = 0});
  while (next()) {}
  stack->abort(id, now);
  EXPECT_SEGMENT(RST | ACK, iss + 1 + 1460, 101u);
}

TEST_F(ScriptTest, AShutWindowIsProbedAsLongAsThePeerAnswers) {
  establish();
  send({.flags = ACK, .seq = 101, .ack = iss + 1, .window = 0});
  give(1000);
  EXPECT_SILENCE();
  unsigned probes = 0;
  for (int i = 0; i < 600; ++i) {
    later(1_s);
    while (const auto got = next()) {
      ++probes;
      EXPECT_EQ(got->payload.size(), 0u);
      send({.flags = ACK, .seq = 101, .ack = iss + 1, .window = 0});
    }
  }
  EXPECT_GE(probes, 9u);
  EXPECT_EQ(events(), 0);
  send({.flags = ACK, .seq = 101, .ack = iss + 1, .window = 5000});
  const auto got = next();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->payload.size(), 1000u);
}

TEST_F(ScriptTest, ASilentPeerIsGivenUp) {
  establish();
  give(1000);
  unsigned sent = 0;
  for (int i = 0; i < 200 && !(seen & event_closed); ++i) {
    later(1_s);
    while (next()) ++sent;
    events();
  }
  EXPECT_TRUE(seen & event_timed_out);
  EXPECT_GE(sent, 5u);
  stack->release(id, now);
}

TEST_F(ScriptTest, KeepaliveFindsADeadPeerAndSparesALivingOne) {
  Config c;
  c.keepalive_idle = 10_s;
  c.keepalive_interval = 2_s;
  c.keepalive_probes = 3;
  start(c);
  establish();
  for (int i = 0; i < 30; ++i) {
    later(1_s);
    while (const auto got = next()) {
      EXPECT_EQ(got->seq, iss);
      send({.flags = ACK, .seq = 101, .ack = iss + 1});
    }
  }
  EXPECT_EQ(events(), 0);
  later(20_s);
  while (next()) {}
  EXPECT_EQ(events(), event_timed_out | event_closed);
  stack->release(id, now);
}

}  // namespace
}  // namespace sluice::tcp
