// Segments that come in one burst: what the application and the peer see is what they see when each comes alone, but
// for one ACK in place of several (which Linux's GRO saves as well).
#include "l4/tcp/join.h"

#include "tests/unit/l4/tcp/script.h"

namespace sluice::tcp {
namespace {

struct JoinTest : ScriptTest {
  static std::string text(std::size_t from, std::size_t size) {
    std::string out;
    for (std::size_t i = from; i < from + size; ++i) out += static_cast<char>('a' + i % 23);
    return out;
  }
  Seg data(std::uint32_t at, std::size_t size, std::uint8_t flags = ACK) const {
    return {.flags = flags, .seq = 101 + at, .ack = iss + 1, .payload = text(at, size)};
  }
  // A new stack and a connection, over IPv4 or IPv6.
  void begin(bool v6) {
    peer.reset();
    stack.reset();
    start({});
    if (v6) {
      peer->here.address = *parse_ip("2001:db8::1");
      peer->there.address = *parse_ip("2001:db8::7");
    }
    establish();
  }
  Seg ack(std::uint32_t segments, std::uint16_t window = 65535) const {
    return {.flags = ACK, .seq = 101, .ack = iss + 1 + segments * 1460, .window = window};
  }
  // Sends them in one burst; how many joined the one before them.
  std::uint64_t burst(std::vector<Seg> segments) {
    const std::uint64_t joined = counters.get(Counter::tcp_segments_joined),
                        in = counters.get(Counter::tcp_segments_in);
    EXPECT_EQ(peer->send(segments, now), 0u) << "packets that nobody took";
    EXPECT_EQ(counters.get(Counter::tcp_segments_in) - in, segments.size());
    return counters.get(Counter::tcp_segments_joined) - joined;
  }
  std::string received() {
    events();
    Chain in;
    stack->receive(id, in);
    std::string out(in.size(), '\0');
    in.peek(0, {reinterpret_cast<std::uint8_t*>(out.data()), out.size()});
    stack->consumed(id, in.size(), now);
    return out;
  }
};

TEST_F(JoinTest, ARunInOrderIsOneSegmentAndOneAck) {
  for (const bool v6 : {false, true}) {
    SCOPED_TRACE(v6);
    begin(v6);
    EXPECT_EQ(burst({data(0, 1000), data(1000, 1000), data(2000, 1000), data(3000, 400, ACK | PSH)}), 3);
    EXPECT_EQ(received(), text(0, 3400));
    EXPECT_SEGMENT(ACK, iss + 1, 3501u);
    EXPECT_SILENCE();
    EXPECT_EQ(info().receive_mss, 1000) << "what the peer sends in one segment, not what was joined";
  }
}

TEST_F(JoinTest, WhatIsPushedOrShorterEndsARun) {
  establish();
  EXPECT_EQ(burst({data(0, 500), data(500, 400), data(900, 400)}), 1);
  EXPECT_EQ(burst({data(1300, 500), data(1800, 500, ACK | PSH), data(2300, 500)}), 1);
  EXPECT_EQ(burst({data(2800, 500, ACK | PSH), data(3300, 500)}), 0);
  EXPECT_EQ(burst({data(3800, 500), data(4300, 700)}), 0) << "larger than the one before";
  EXPECT_EQ(received(), text(0, 5000));
}

TEST_F(JoinTest, SegmentsThatSayDifferentThingsStayApart) {
  for (const bool v6 : {false, true}) {
    SCOPED_TRACE(v6);
    // How many join when the second of two is changed so.
    const auto with = [&](auto&& change) {
      begin(v6);
      Seg second = data(100, 100);
      change(second);
      return burst({data(0, 100), second});
    };
    EXPECT_EQ(with([](Seg& s) { s.window = 60'000; }), 0);
    EXPECT_EQ(with([](Seg& s) { s.flags |= FIN; }), 0);
    EXPECT_EQ(with([](Seg& s) { s.flags |= URG; }), 0);
    EXPECT_EQ(with([](Seg& s) { s.ecn = 3; }), 0);
    EXPECT_EQ(with([](Seg& s) { s.options = {1, 1, 1, 1}; }), 0);
    EXPECT_EQ(with([](Seg&) {}), 1) << "the same without a difference is joined";
  }
}

TEST_F(JoinTest, AckNumbersThatDifferBothCount) {
  establish();
  give(3000);
  while (next()) {}
  Seg first = data(0, 100), second = data(100, 100);
  first.ack = iss + 1 + 1460;
  second.ack = iss + 1 + 3000;
  EXPECT_EQ(burst({first, second}), 0);
  EXPECT_EQ(stack->progress(id).acknowledged, 3000u);
  EXPECT_EQ(received(), text(0, 200));
}

TEST_F(JoinTest, OutOfOrderEachSegmentHasItsAnswer) {
  establish({2, 4, 0x05, 0xb4});  // without SACK: the peer counts the duplicates
  EXPECT_EQ(burst({data(1000, 1000), data(2000, 1000), data(3000, 1000)}), 0);
  for (int i = 0; i < 3; ++i) EXPECT_SEGMENT(ACK, iss + 1, 101u);
  EXPECT_SILENCE();
  // While there is a hole nothing is joined: the segment that fills it lets out what waits behind it.
  EXPECT_EQ(burst({data(0, 500), data(500, 500)}), 0);
  EXPECT_EQ(received(), text(0, 4000));
}

TEST_F(JoinTest, WhatLiesBeyondTheWindowIsNotTaken) {
  Config c;
  c.receive_limit = 8192;
  start(c);
  establish();
  const std::uint32_t window = info().our_window;
  std::vector<Seg> run;
  for (std::uint32_t at = 0; at < window + 3000; at += 1000) run.push_back(data(at, 1000));
  burst(run);
  EXPECT_EQ(received(), text(0, window));
}

TEST_F(JoinTest, SegmentsOfOneByteJoin) {
  establish();
  EXPECT_EQ(burst({data(0, 1), data(1, 1), data(2, 1)}), 2);
  EXPECT_EQ(received(), text(0, 3));
}

TEST_F(JoinTest, AcksOfOneBurstGiveWayToTheLast) {
  establish();
  give(4 * 1460);
  while (next()) {}
  EXPECT_EQ(burst({ack(1), ack(2), ack(3, 60'000), ack(4, 50'000)}), 3);
  EXPECT_EQ(stack->progress(id).acknowledged, 4 * 1460u);
  EXPECT_EQ(info().peer_window, 50'000u);
  EXPECT_EQ(info().segments_out, 0u);
  EXPECT_EQ(info().segments_delivered, 4u);
}

TEST_F(JoinTest, AcksThatTellSomethingEachAreTakenEach) {
  establish();
  give(20 * 1460);
  while (next()) {}
  EXPECT_EQ(burst({ack(1), ack(2), ack(3), ack(4)}), 0) << "the window is full and grows: HyStart++ counts samples";
  EXPECT_EQ(info().cwnd_segments, 14u);
  stack.reset(), peer.reset(), start({});
  establish();
  give(3 * 1460);
  while (next()) {}
  EXPECT_EQ(burst({ack(1), ack(2), ack(9)}), 0) << "the last acknowledges what was never sent";
  EXPECT_EQ(stack->progress(id).acknowledged, 2 * 1460u);
  EXPECT_EQ(burst({ack(1), ack(3)}), 0) << "the first is old";
  EXPECT_EQ(stack->progress(id).acknowledged, 3 * 1460u);
}

}  // namespace
}  // namespace sluice::tcp
