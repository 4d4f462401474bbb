// RFC 9293 3.10.7 and the RFCs that amend it, as conversations with a scripted peer; and the bugs that a mature
// user-space stack had to mend, one test each.
#include <gtest/gtest.h>

#include "tests/support/tcp_peer.h"

namespace sluice::tcp {
namespace {

using namespace test;

struct AnyListener {
  std::optional<ListenerId> find(const IpAddress&, std::uint16_t port, PortId) const {
    if (port != 80) return {};
    return 7;
  }
};

struct ScriptTest : testing::Test {
  static constexpr unsigned count = 2048;
  Buffers buffers{"tcp_script_test", count, count, 0, -1};
  Counters counters;
  AnyListener listener;
  Nanos now{5'000'000'000};
  std::optional<Stack> stack;
  std::optional<Peer> peer;
  ConnId id;
  std::uint32_t iss = 0;  // of the stack
  std::uint16_t seen = 0;

  void SetUp() override { start({}); }
  void start(Config c) {
    peer.reset();
    c.connections = 8;
    c.handshakes = 4;
    c.time_waits = 4;
    c.transmit_records = 512;
    if (c.held_buffers_max > 4096) c.held_buffers_max = 1024;
    c.out_of_order_buffers_max = 256;
    c.sources[0] = {*parse_ip("198.51.100.7"), 30000, 30009};
    c.source_count = 1;
    stack.emplace(c, buffers, counters, Nanos{});
    peer.emplace(*stack, buffers, counters);
    stack->set_listeners(ListenerView{&listener});
  }
  void TearDown() override {
    peer.reset();
    stack.reset();
    EXPECT_EQ(buffers.data_free(), count) << "a buffer is lost";
    EXPECT_EQ(buffers.slices_free(), count) << "a descriptor is lost";
  }
  void send(const Seg& s) { peer->send(s, now); }
  std::optional<Got> next() { return peer->next(now); }
  void later(Nanos by) {
    for (Nanos end = now + by; now < end;) {
      now += std::min(Nanos{1'000'000}, end - now);
      stack->expire(now);
    }
  }
  std::uint16_t events() {
    std::uint16_t bits = 0;
    for (auto some = stack->take_events(); !some.empty(); some = stack->take_events())
      for (const Event& e : some) {
        bits |= e.bits;
        id = e.id;
      }
    seen |= bits;
    return bits;
  }
  // Peer: ISS 100, so its first byte is 101. Ours: iss + 1.
  void establish(Bytes options = {2, 4, 0x05, 0xb4}, std::uint16_t window = 65535) {
    send({.flags = SYN, .seq = 100, .window = window, .options = options});
    const auto answer = next();
    ASSERT_TRUE(answer);
    ASSERT_EQ(answer->flags, SYN | ACK);
    iss = answer->seq;
    send({.flags = ACK, .seq = 101, .ack = iss + 1, .window = window});
    ASSERT_EQ(events(), event_accepted);
    ASSERT_FALSE(next());
  }
  void give(std::size_t size) {
    Chain out;
    ASSERT_TRUE(out.append_bytes(bytes(std::string(size, 'x')), buffers));
    stack->send(id, std::move(out));
  }
  State state() {
    Info info;
    return stack->info(id, info, now) ? info.state : State::closed;
  }
  Info info() {
    Info out;
    stack->info(id, out, now);
    return out;
  }
};

#define EXPECT_SEGMENT(want_flags, want_seq, want_ack)                                                                 \
  do {                                                                                                                 \
    const auto got_ = next();                                                                                          \
    ASSERT_TRUE(got_) << "nothing was sent";                                                                           \
    EXPECT_EQ(got_->flags & ~PSH, (want_flags)) << *got_;                                                              \
    EXPECT_EQ(got_->seq, (want_seq)) << *got_;                                                                         \
    EXPECT_EQ(got_->ack, (want_ack)) << *got_;                                                                         \
  } while (false)
#define EXPECT_SILENCE()                                                                                               \
  do {                                                                                                                 \
    const auto got_ = next();                                                                                          \
    EXPECT_FALSE(got_) << *got_;                                                                                       \
  } while (false)

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
  send({.flags = ACK, .seq = 101, .ack = iss + 5000});
  EXPECT_SEGMENT(ACK, iss + 101, 101u);
  EXPECT_EQ(stack->progress(id).acknowledged, 0u);
  EXPECT_EQ(counters.get(Counter::drop_tcp_unsent_ack), 1u);
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
  later(61_s);
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
  send({.flags = ACK, .seq = 101, .ack = iss + 1 + 5 * 1460});
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
  const std::uint32_t ssthresh = info().ssthresh, timeouts = info().timeouts;
  EXPECT_LT(ssthresh, 14600u);
  later(5_s);
  EXPECT_SEGMENT(ACK, iss + 1, 101u);
  EXPECT_GT(info().timeouts, timeouts);
  EXPECT_EQ(info().ssthresh, ssthresh);
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

TEST_F(ScriptTest, OutOfOrderDataIsSackedAndDeliveredInOrderWithItsFin) {
  establish({2, 4, 0x05, 0xb4, 4, 2, 1, 1});
  send({.flags = FIN | ACK, .seq = 107, .ack = iss + 1, .payload = "!"});
  auto got = next();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->ack, 101u);
  ASSERT_EQ(got->options.sack_count, 1);
  EXPECT_EQ(got->options.sack[0], (Range{Seq{107}, Seq{108}}));
  send({.flags = ACK, .seq = 104, .ack = iss + 1, .payload = "lo"});
  got = next();
  ASSERT_TRUE(got);
  ASSERT_EQ(got->options.sack_count, 2);
  EXPECT_EQ(got->options.sack[0], (Range{Seq{104}, Seq{106}})) << "the latest first";
  EXPECT_EQ(events(), 0);
  send({.flags = ACK, .seq = 101, .ack = iss + 1, .payload = "hello?"});
  EXPECT_EQ(events(), event_readable | event_finished);
  EXPECT_SEGMENT(ACK, iss + 1, 109u);
  Chain in;
  stack->receive(id, in);
  std::string content(in.size(), 0);
  in.peek(0, {reinterpret_cast<std::uint8_t*>(content.data()), content.size()});
  EXPECT_EQ(content, "hello?!");
}

TEST_F(ScriptTest, OldTimestampsAreTurnedAway) {
  const auto ts = [](std::uint32_t value) {
    Bytes o{1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0};
    put32(&o[4], value);
    return o;
  };
  send({.flags = SYN, .seq = 100, .options = {8, 10, 0, 0, 0, 9, 0, 0, 0, 0}});
  iss = next()->seq;
  send({.flags = ACK, .seq = 101, .ack = iss + 1, .options = ts(10)});
  EXPECT_EQ(events(), event_accepted);
  send({.flags = ACK, .seq = 101, .ack = iss + 1, .options = ts(8), .payload = "old"});
  EXPECT_EQ(events(), 0);
  EXPECT_SEGMENT(ACK, iss + 1, 101u);
  EXPECT_EQ(counters.get(Counter::drop_tcp_paws), 1u);
  send({.flags = ACK, .seq = 101, .ack = iss + 1, .payload = "none"});
  EXPECT_EQ(events(), 0);
  send({.flags = ACK, .seq = 101, .ack = iss + 1, .options = ts(10), .payload = "new"});
  EXPECT_EQ(events(), event_readable);
}

TEST_F(ScriptTest, TinySegmentsShareBuffersAndTheWindowFollowsTheCharge) {
  establish();
  for (unsigned i = 0; i < 1000; ++i) send({.flags = ACK, .seq = 101 + i, .ack = iss + 1, .payload = "z"});
  EXPECT_LE(stack->held_buffers(), 2u);
  while (next()) {}
  std::uint32_t seq = 1101;
  std::optional<Got> last;
  for (unsigned i = 0; i < 400; ++i) {
    if (last && last->ack + last->window < seq + 1460) break;  // as a sender would
    send({.flags = ACK, .seq = seq, .ack = iss + 1, .payload = std::string(1460, 'y')});
    seq += 1460;
    later(41_ms);
    while (const auto got = next()) last = got;
  }
  ASSERT_TRUE(last);
  EXPECT_LT(last->window, 3000) << "nobody reads";
  EXPECT_LT(stack->held_buffers(), 2u * 512 * 1024 / 2048);
  Chain in;
  stack->receive(id, in);
  const std::uint32_t size = in.size();
  in.clear();
  EXPECT_SILENCE();
  stack->consumed(id, size, now);
  const auto update = next();
  ASSERT_TRUE(update) << "the window opens";
  EXPECT_GT(update->window, 30000);
  EXPECT_EQ(stack->held_buffers(), 0u);
}

TEST_F(ScriptTest, AboveHeldMaxAcksAreReadAndPayloadIsNot) {
  Config c;
  c.held_buffers_max = 4;
  start(c);
  establish();
  give(8000);  // 4 buffers
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(next());
  send({.flags = ACK, .seq = 101, .ack = iss + 1 + 1460, .payload = "x"});
  EXPECT_EQ(stack->progress(id).acknowledged, 1460u);
  EXPECT_EQ(events() & event_readable, 0);
  EXPECT_EQ(counters.get(Counter::drop_tcp_held), 1u);
}

TEST_F(ScriptTest, ReleaseWithUnreadBytesIsAReset) {
  establish();
  send({.flags = ACK, .seq = 101, .ack = iss + 1, .payload = "unread"});
  events();
  stack->release(id, now);
  EXPECT_SEGMENT(RST | ACK, iss + 1, 107u);
  EXPECT_EQ(stack->connection_count(), 0u);
  EXPECT_FALSE(stack->valid(id));
}

TEST_F(ScriptTest, AnImageGoesOutAndInAndTheTransferContinues) {
  establish({2, 4, 0x05, 0xb4, 4, 2, 1, 1});
  give(3000);
  while (next()) {}
  send({.flags = ACK, .seq = 101, .ack = iss + 1 + 1460, .payload = "abc"});
  send({.flags = ACK, .seq = 110, .ack = iss + 1 + 1460, .payload = "later"});
  while (next()) {}
  Bytes image(stack->image_size(id));
  ASSERT_EQ(stack->export_image(id, image, now), image.size());
  EXPECT_EQ(stack->export_image(id, MutableBytes{image}.first(image.size() - 1), now), 0u);
  const Endpoint there = peer->there;
  start({});
  now = Nanos{77'000'000'000};
  peer->there = there;
  for (std::size_t cut = 0; cut < 100; ++cut) ASSERT_FALSE(stack->import_image(ByteView{image}.first(cut), 0, now));
  const auto in = stack->import_image(image, 42, now);
  ASSERT_TRUE(in);
  id = *in;
  EXPECT_EQ(stack->import_image(image, 0, now).error(), ImportError::exists);
  EXPECT_EQ(stack->user(id), 42u);
  std::string again;
  std::uint32_t first = 0;
  while (const auto got = next()) {
    if (got->payload.empty()) continue;
    if (again.empty()) first = got->seq;
    again += got->payload;
    send({.flags = ACK, .seq = 104, .ack = got->seq + static_cast<std::uint32_t>(got->payload.size())});
  }
  EXPECT_EQ(first, iss + 1 + 1460);
  EXPECT_EQ(again.size(), 1540u);
  EXPECT_EQ(stack->progress(id).acknowledged, 3000u);
  send({.flags = ACK, .seq = 104, .ack = iss + 3001, .payload = "defghi"});
  EXPECT_TRUE(events() & event_readable);
  Chain got;
  stack->receive(id, got);
  std::string content(got.size(), 0);
  got.peek(0, {reinterpret_cast<std::uint8_t*>(content.data()), content.size()});
  EXPECT_EQ(content, "abcdefghilater");
}

TEST_F(ScriptTest, AFullSynCacheDropsTheOldest) {
  for (std::uint16_t i = 0; i < 6; ++i) {
    peer->here.port = static_cast<std::uint16_t>(2000 + i);
    send({.flags = SYN, .seq = 100});
  }
  EXPECT_EQ(stack->handshake_count(), 4u);
  EXPECT_EQ(counters.get(Counter::tcp_handshakes_evicted), 2u);
  later(20_s);
  EXPECT_EQ(stack->handshake_count(), 0u);
}

}  // namespace
}  // namespace sluice::tcp
