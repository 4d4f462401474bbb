// RFC 9293 3.10.7 and the RFCs that amend it, as conversations with a scripted peer; and the bugs that a mature
// user-space stack had to mend, one test each.
#include "tests/unit/l4/tcp/script.h"

namespace sluice::tcp {
namespace {

TEST_F(ScriptTest, SynIsAnsweredWithWhatItOffered) {
  send({.flags = SYN, .seq = 100, .options = {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7}});
  const auto got = next();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->flags, SYN | ACK);
  EXPECT_EQ(got->ack, 101u);
  EXPECT_TRUE(got->options.has_mss && got->options.sack_permitted && got->options.has_timestamps &&
              got->options.has_window_scale);
  EXPECT_EQ(got->options.mss, 1460);
  EXPECT_EQ(got->options.ts_echo, 9u);
  later(1_s + 2_ms);
  const auto again = next();
  ASSERT_TRUE(again) << "an unanswered SYN-ACK is sent again";
  EXPECT_EQ(again->seq, got->seq);
}

TEST_F(ScriptTest, ABareSynGetsNoOptionsButMss) {
  send({.flags = SYN, .seq = 100});
  const auto got = next();
  ASSERT_TRUE(got);
  EXPECT_FALSE(got->options.sack_permitted || got->options.has_timestamps || got->options.has_window_scale);
}

TEST_F(ScriptTest, InitialNumbersAreAClockAndAKeyedHashOfTheTuple) {  // RFC 6528 3
  const auto ask = [&](std::uint16_t port) {
    peer->here.port = port;
    send({.flags = SYN, .seq = 100});
    const auto got = next();
    send({.flags = RST, .seq = 101});
    return got ? got->seq : 0;
  };
  const std::uint32_t first = ask(4000), second = ask(4001), third = ask(4002);
  EXPECT_EQ(ask(4000), first);
  EXPECT_NE(second - first, third - second) << "the next one can be told from two";
  later(1_s);
  EXPECT_EQ(ask(4000) - first, 1'000'000'000u / 64) << "the clock";
  Config other;
  other.secret = {1, 2};
  start(other);
  EXPECT_NE(ask(4001) - ask(4000), second - first) << "another secret, another hash";
}

TEST_F(ScriptTest, OptionLengthsOfZeroOneAndTooMuchEndTheOptions) {
  for (const Bytes& options :
       {Bytes{2, 0, 1, 1}, Bytes{2, 1, 1, 1}, Bytes{2, 40, 1, 1}, Bytes{3}, Bytes{8, 10, 0, 0}}) {
    peer->here.port++;
    send({.flags = SYN, .seq = 100, .options = options});
    EXPECT_SEGMENT(SYN | ACK, peer->egress.sent.empty() ? 0 : get32(&peer->egress.sent.back()[24]), 101u);
  }
}

TEST_F(ScriptTest, ADataOffsetOutsideTheSegmentIsMalformed) {
  send({.flags = SYN, .seq = 100, .data_offset = 4});
  EXPECT_SILENCE();
  send({.flags = SYN, .seq = 100, .data_offset = 15});
  EXPECT_SILENCE();
  EXPECT_EQ(stack->handshake_count(), 0u);
}

TEST_F(ScriptTest, NobodyListens) {
  peer->there.port = 81;
  send({.flags = SYN, .seq = 100});
  EXPECT_SEGMENT(RST | ACK, 0u, 101u);
  send({.flags = ACK, .seq = 100, .ack = 777});
  EXPECT_SEGMENT(RST, 777u, 0u);
  send({.flags = RST | ACK, .seq = 100, .ack = 777});
  EXPECT_SILENCE();
}

TEST_F(ScriptTest, DataIsAcknowledgedEverySecondSegmentOrAfter40Ms) {
  Config c;
  c.quick_acks = 0;
  start(c);
  establish();
  send({.flags = ACK, .seq = 101, .ack = iss + 1, .payload = std::string(1000, 'a')});
  EXPECT_EQ(events(), event_readable);
  EXPECT_SILENCE();
  later(41_ms);
  EXPECT_SEGMENT(ACK, iss + 1, 1101u);
  send({.flags = ACK, .seq = 1101, .ack = iss + 1, .payload = std::string(1000, 'a')});
  EXPECT_SILENCE();
  send({.flags = ACK, .seq = 2101, .ack = iss + 1, .payload = std::string(1000, 'a')});
  EXPECT_SEGMENT(ACK, iss + 1, 3101u);
  Chain in;
  stack->receive(id, in);
  EXPECT_EQ(in.size(), 3000u);
}

TEST_F(ScriptTest, AnAckOfUnsentDataIsNotTaken) {
  establish();
  give(100);
  EXPECT_SEGMENT(ACK, iss + 1, 101u);
  send({.flags = ACK, .seq = 101, .ack = iss + 102});  // one byte too far
  EXPECT_SEGMENT(ACK, iss + 101, 101u);
  send({.flags = ACK, .seq = 101, .ack = iss + 5000, .payload = "no"});
  EXPECT_EQ(events() & event_readable, 0);
  EXPECT_EQ(stack->progress(id).acknowledged, 0u);
  EXPECT_EQ(counters.get(Counter::drop_tcp_unsent_ack), 2u);
}

// A retry elsewhere is safe as long as nothing has left.
TEST_F(ScriptTest, WhatWaitsForTheSynToLeaveIsNotTransmitted) {
  const auto made = stack->connect({.remote = peer->here}, now);
  ASSERT_TRUE(made);
  id = *made;
  give(100);
  EXPECT_EQ(stack->progress(id).queued, 100u);
  EXPECT_EQ(stack->progress(id).transmitted, 0u) << "not even the SYN has left";
  EXPECT_STREQ(stack->audit(), nullptr);
  later(6_s);
  EXPECT_TRUE(events() & event_timed_out);
  EXPECT_EQ(stack->progress(id).queued, 100u);
  EXPECT_EQ(stack->progress(id).transmitted, 0u);
  stack->release(id, now);
}

TEST_F(ScriptTest, ResetOnlyByTheExactNumber) {
  establish();
  send({.flags = RST, .seq = 102});
  EXPECT_SEGMENT(ACK, iss + 1, 101u);  // challenge
  EXPECT_EQ(state(), State::established);
  send({.flags = RST, .seq = 100});  // outside the window
  EXPECT_SILENCE();
  send({.flags = RST, .seq = 101});
  EXPECT_EQ(events(), event_reset | event_closed);
  EXPECT_SILENCE();
  stack->release(id, now);
  EXPECT_EQ(stack->connection_count(), 0u);
}

TEST_F(ScriptTest, ASynInAnEstablishedConnectionIsChallenged) {
  establish();
  send({.flags = SYN, .seq = 101});
  EXPECT_SEGMENT(ACK, iss + 1, 101u);
  send({.flags = SYN, .seq = 102});
  EXPECT_SILENCE();  // not twice within half a second
  for (const std::uint32_t seq : {50u, 101u + 1'000'000}) {
    later(501_ms);
    send({.flags = SYN, .seq = seq});
    EXPECT_SEGMENT(ACK, iss + 1, 101u);  // outside the window too
  }
  later(501_ms);
  send({.flags = SYN | ACK, .seq = 101, .ack = iss + 1, .payload = "no"});
  EXPECT_SEGMENT(ACK, iss + 1, 101u);
  EXPECT_EQ(events(), 0);
  EXPECT_EQ(state(), State::established);
}

TEST_F(ScriptTest, ThePeerClosesFirst) {
  establish();
  send({.flags = FIN | ACK, .seq = 101, .ack = iss + 1});
  EXPECT_SEGMENT(ACK, iss + 1, 102u);
  EXPECT_EQ(events(), event_finished);
  EXPECT_TRUE(stack->at_end(id));
  send({.flags = FIN | ACK, .seq = 101, .ack = iss + 1});  // again, in CLOSE-WAIT
  EXPECT_SEGMENT(ACK, iss + 1, 102u);
  EXPECT_EQ(events(), 0);
  EXPECT_EQ(state(), State::close_wait);
  give(10);
  EXPECT_SEGMENT(ACK, iss + 1, 102u);  // half-closed: we still send
  stack->shutdown(id, now);
  EXPECT_SEGMENT(FIN | ACK, iss + 11, 102u);
  EXPECT_EQ(state(), State::last_ack);
  send({.flags = ACK, .seq = 102, .ack = iss + 12});
  EXPECT_EQ(events(), event_closed);
  stack->release(id, now);
}

TEST_F(ScriptTest, WeCloseFirstAndWaitAndASafeSynReusesTheTuple) {
  establish();
  stack->shutdown(id, now);
  EXPECT_SEGMENT(FIN | ACK, iss + 1, 101u);
  send({.flags = ACK, .seq = 101, .ack = iss + 2});
  EXPECT_EQ(state(), State::fin_wait_2);
  send({.flags = ACK, .seq = 101, .ack = iss + 2, .payload = "still"});  // half-closed: we still receive
  EXPECT_EQ(events(), event_readable);
  send({.flags = FIN | ACK, .seq = 106, .ack = iss + 2});
  EXPECT_EQ(events(), event_finished | event_closed);
  EXPECT_SEGMENT(ACK, iss + 2, 107u);
  EXPECT_EQ(stack->time_wait_count(), 1u);
  Chain in;
  stack->receive(id, in);
  EXPECT_EQ(in.size(), 5u) << "what came before the FIN can still be read";
  stack->release(id, now);
  send({.flags = FIN | ACK, .seq = 106, .ack = iss + 2});
  EXPECT_SEGMENT(ACK, iss + 2, 107u);
  send({.flags = SYN, .seq = 50});  // an old duplicate
  EXPECT_SEGMENT(ACK, iss + 2, 107u);
  send({.flags = SYN, .seq = 200});
  const auto answer = next();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->flags, SYN | ACK);
  EXPECT_GT(static_cast<std::int32_t>(answer->seq - (iss + 2)), 0);
  EXPECT_EQ(stack->time_wait_count(), 0u);
}

TEST_F(ScriptTest, TimeWaitEnds) {
  establish();
  stack->shutdown(id, now);
  EXPECT_SEGMENT(FIN | ACK, iss + 1, 101u);
  send({.flags = FIN | ACK, .seq = 101, .ack = iss + 1});  // both at once: CLOSING
  EXPECT_SEGMENT(ACK, iss + 2, 102u);
  EXPECT_EQ(state(), State::closing);
  send({.flags = ACK, .seq = 102, .ack = iss + 2});
  EXPECT_EQ(stack->time_wait_count(), 1u);
  stack->release(id, now);
  later(59_s);
  EXPECT_EQ(stack->time_wait_count(), 1u);
  send({.flags = FIN | ACK, .seq = 101, .ack = iss + 1});
  EXPECT_SEGMENT(ACK, iss + 2, 102u);
  later(59_s);
  EXPECT_EQ(stack->time_wait_count(), 1u) << "a FIN that comes again starts the time anew (RFC 9293 3.10.7.4)";
  later(2_s);
  EXPECT_EQ(stack->time_wait_count(), 0u);
}

TEST_F(ScriptTest, ActiveOpenRefusedTimedOutAndSimultaneous) {
  const auto refused = stack->connect({.remote = peer->here}, now);
  ASSERT_TRUE(refused);
  auto syn = next();
  ASSERT_TRUE(syn);
  EXPECT_EQ(syn->flags, SYN);
  peer->there = stack->local(*refused);
  send({.flags = RST | ACK, .seq = 0, .ack = syn->seq + 2});
  EXPECT_EQ(events(), 0) << "the RST acknowledges something else";
  send({.flags = RST | ACK, .seq = 0, .ack = syn->seq + 1});
  EXPECT_EQ(events(), event_reset | event_closed);
  stack->release(id, now);

  ASSERT_TRUE(stack->connect({.remote = peer->here, .timeout = 3_s}, now));
  syn = next();
  later(1_s + 2_ms);
  EXPECT_SEGMENT(SYN, syn->seq, 0u);
  later(2_s);
  EXPECT_EQ(events(), event_timed_out | event_closed);
  stack->release(id, now);

  const auto both = stack->connect({.remote = peer->here, .local_port = 30005}, now);
  ASSERT_TRUE(both);
  while (const auto got = next()) syn = got;
  peer->there = stack->local(*both);
  send({.flags = SYN, .seq = 500});
  EXPECT_SEGMENT(SYN | ACK, syn->seq, 501u);
  send({.flags = SYN | ACK, .seq = 500, .ack = syn->seq + 1});
  EXPECT_SEGMENT(ACK, syn->seq + 1, 501u);
  send({.flags = ACK, .seq = 501, .ack = syn->seq + 1});
  EXPECT_EQ(events(), event_connected);
}

TEST_F(ScriptTest, AnActiveOpenNeverTakesATupleInUse) {
  establish();
  const auto clash = stack->connect({.remote = peer->here, .local = peer->there.address, .local_port = 80}, now);
  ASSERT_FALSE(clash);
  EXPECT_EQ(clash.error(), ConnectError::in_use);
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(stack->connect({.remote = peer->here}, now)) << i;
  EXPECT_EQ(stack->connect({.remote = peer->here}, now).error(), ConnectError::pool_full);
}

// A connection whose peer's timestamp is 10.
struct TimestampTest : ScriptTest {
  static Bytes ts(std::uint32_t value) {
    Bytes o{1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0};
    put32(&o[4], value);
    return o;
  }
  void SetUp() override {
    ScriptTest::SetUp();
    send({.flags = SYN, .seq = 100, .options = {8, 10, 0, 0, 0, 9, 0, 0, 0, 0}});
    iss = next()->seq;
    send({.flags = ACK, .seq = 101, .ack = iss + 1, .options = ts(10)});
    EXPECT_EQ(events(), event_accepted);
  }
  std::uint32_t echoed() {
    later(41_ms);
    const auto got = next();
    return got ? got->options.ts_echo : 0;
  }
};

TEST_F(TimestampTest, TheOneOfTheLastSegmentInOrderIsEchoed) {  // RFC 7323 4.3
  send({.flags = ACK, .seq = 101, .ack = iss + 1, .options = ts(12), .payload = "data"});
  EXPECT_EQ(echoed(), 12u);
  send({.flags = ACK, .seq = 108, .ack = iss + 1, .options = ts(14), .payload = "behind a hole"});
  EXPECT_EQ(echoed(), 12u);
  send({.flags = ACK, .seq = 105, .ack = iss + 1, .options = ts(13), .payload = "gap"});
  EXPECT_EQ(echoed(), 13u);
  send({.flags = FIN | ACK, .seq = 121, .ack = iss + 1, .options = ts(20)});
  EXPECT_EQ(echoed(), 20u);
}

TEST_F(TimestampTest, OldOnesAreTurnedAway) {
  send({.flags = ACK, .seq = 101, .ack = iss + 1, .options = ts(8), .payload = "old"});
  EXPECT_EQ(events(), 0);
  EXPECT_SEGMENT(ACK, iss + 1, 101u);
  EXPECT_EQ(counters.get(Counter::drop_tcp_paws), 1u);
  send({.flags = ACK, .seq = 101, .ack = iss + 1, .payload = "none"});
  EXPECT_EQ(events(), 0);
  send({.flags = ACK, .seq = 101, .ack = iss + 1, .options = ts(10), .payload = "new"});
  EXPECT_EQ(events(), event_readable);
}

TEST_F(ScriptTest, AFullSynCacheDropsTheOldest) {
  start({.syn_cookies = SynCookies::never});
  for (std::uint16_t i = 0; i < 6; ++i) {
    peer->here.port = static_cast<std::uint16_t>(2000 + i);
    send({.flags = SYN, .seq = 100});
  }
  EXPECT_EQ(stack->handshake_count(), 4u);
  EXPECT_EQ(counters.get(Counter::tcp_handshakes_evicted), 2u);
  later(20_s);
  EXPECT_EQ(stack->handshake_count(), 0u);
}

// Linux's busy, rwnd_limited and the rest, as they are at this moment.
TEST_F(ScriptTest, TellsWhatHoldsItBack) {
  establish({2, 4, 0x05, 0xb4}, 65535);
  EXPECT_EQ(info().limited_by, Limit::application);
  give(60'000);
  while (next()) {}
  EXPECT_EQ(info().limited_by, Limit::congestion) << "ten segments are out";
  const std::uint32_t out = info().in_flight;
  send({.flags = ACK, .seq = 101, .ack = iss + 1 + out, .window = 1000});
  EXPECT_SILENCE();  // less than a segment fits
  EXPECT_EQ(info().limited_by, Limit::peer_window);
  send({.flags = ACK, .seq = 101, .ack = iss + 1 + out, .window = 0});
  EXPECT_SILENCE();
  EXPECT_EQ(info().limited_by, Limit::peer_window);
}

}  // namespace
}  // namespace sluice::tcp
