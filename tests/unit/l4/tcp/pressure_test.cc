// Memory: windows and queues that follow the path, who is cut when buffers are short, who is not let in.
#include <map>

#include "l4/tcp/core.h"
#include "l4/tcp/tcb.h"
#include "tests/unit/l4/tcp/script.h"

namespace sluice::tcp {
namespace {

struct PressureTest : ScriptTest {
  // The peer sends what the window allows, l7 takes it all; returns the bytes of that round trip.
  std::uint32_t round(std::uint32_t& seq, std::uint32_t& edge, bool read) {
    const std::uint32_t begin = seq;
    while (seq + 1460 <= edge) {
      send({.flags = ACK, .seq = seq, .ack = iss + 1, .payload = std::string(1460, 'd')});
      seq += 1460;
      while (const auto got = next()) edge = std::max(edge, got->ack + (std::uint32_t{got->window} << scale));
      if (seq - begin > 1'000'000) break;
    }
    Chain in;
    stack->receive(id, in);
    const std::uint32_t size = in.size();
    in.clear();
    later(50_ms);
    if (read) stack->consumed(id, size, now);
    while (const auto got = next()) edge = std::max(edge, got->ack + (std::uint32_t{got->window} << scale));
    return seq - begin;
  }
  void open() {
    send({.flags = SYN, .seq = 100, .options = {2, 4, 0x05, 0xb4, 1, 3, 3, 7}});
    const auto answer = next();
    ASSERT_TRUE(answer);
    iss = answer->seq;
    scale = answer->options.window_scale;
    later(20_ms);
    send({.flags = ACK, .seq = 101, .ack = iss + 1});
    ASSERT_EQ(events(), event_accepted);
  }
  unsigned scale = 0;
};

TEST_F(PressureTest, TheReceiveWindowFollowsWhatIsTakenInARoundTrip) {
  open();
  std::uint32_t seq = 101, edge = 101 + 65535;
  const std::uint32_t first = round(seq, edge, true);
  EXPECT_LE(first, 65535u + 46 * 128) << "an edge is rounded up to the scale";
  const std::uint32_t second = round(seq, edge, true), third = round(seq, edge, true), fourth = round(seq, edge, true);
  EXPECT_GT(second, first * 3 / 2);
  EXPECT_GT(third, second * 3 / 2);
  EXPECT_GT(fourth, third);
}

TEST_F(PressureTest, TheReceiveWindowStaysSmallForAnIdleReader) {
  open();
  std::uint32_t seq = 101, edge = 101 + 65535;
  std::uint32_t total = 0;
  for (int i = 0; i < 5; ++i) total += round(seq, edge, false);
  EXPECT_LE(total, 65535u + 46 * 128) << "nobody takes it";
  EXPECT_LE(stack->held_buffers(), 48u);
}

TEST_F(PressureTest, TheReceiveWindowIsBoundByItsLimit) {
  start({.receive_limit = 256 * 1024});
  open();
  std::uint32_t seq = 101, edge = 101 + 65535, largest = 0;
  for (int i = 0; i < 8; ++i) largest = std::max(largest, round(seq, edge, true));
  EXPECT_GT(largest, 80'000u);
  EXPECT_LE(largest, 256u * 1024);
}

TEST_F(PressureTest, TheSendQueueIsTwoCongestionWindows) {
  open();
  EXPECT_EQ(stack->send_room(id), 64u * 1024);
  give(60'000);
  EXPECT_EQ(stack->send_room(id), 0u);
  std::uint32_t acked = 0, rounds = 0;
  while (info().cwnd < 100'000 && rounds++ < 20) {
    while (next()) {}
    const Info i = info();
    acked += i.in_flight;
    later(20_ms);
    send({.flags = ACK, .seq = 101, .ack = iss + 1 + acked, .window = 65535});
    if (const std::uint32_t room = stack->send_room(id)) give(room);
  }
  ASSERT_GE(info().cwnd, 100'000u);
  const Info i = info();
  EXPECT_LE(i.send_queue, 2 * i.cwnd + 64 * 1024);
  EXPECT_GT(stack->send_room(id) + i.send_queue, i.cwnd);
}

struct ScarceTest : ScriptTest {
  void SetUp() override {
    Config c;
    c.held_buffers_max = 64;  // the last four make it dire
    start(c);
  }
  ConnId open(std::uint16_t port) {
    peer->here.port = port;
    establish();
    return id;
  }
  void deliver(std::uint16_t port, unsigned from, unsigned n) {
    peer->here.port = port;
    for (unsigned i = from; i < from + n; ++i)
      send({.flags = ACK, .seq = 101 + i * 1400, .ack = iss_of[port] + 1, .payload = std::string(1400, 'h')});
    while (next()) {}
  }
  void queue(ConnId to, unsigned buffers_wanted) {
    Chain out;
    for (unsigned i = 0; i < buffers_wanted; ++i) {
      Packet p = buffers.make();
      ASSERT_TRUE(p);
      p.get()->data_len = 100;
      p.get()->pkt_len = 100;
      out.append(std::move(p));
    }
    stack->send(to, std::move(out));
  }
  std::map<std::uint16_t, std::uint32_t> iss_of;
};

TEST_F(ScarceTest, TheSilentOnesThatHoldBuffersAreCutFirst) {
  const ConnId idle = open(1001);
  iss_of[1001] = iss;
  const ConnId bare = open(1002);
  const ConnId busy = open(1003);
  iss_of[1003] = iss;
  deliver(1001, 0, 6);
  later(11_s);
  while (next()) {}
  peer->here.port = 1003;
  send({.flags = ACK, .seq = 101, .ack = iss_of[1003] + 1, .payload = "alive"});
  events();
  queue(busy, 55);
  ASSERT_GE(stack->held_buffers(), 60u);
  peer->here.port = 1004;
  send({.flags = SYN, .seq = 100});
  EXPECT_EQ(counters.get(Counter::tcp_admission_refused), 1u);
  peer->here.port = 1001;
  stack->expire(now);
  EXPECT_EQ(events(), event_reset | event_cut | event_closed);
  EXPECT_EQ(id, idle);
  EXPECT_EQ(counters.get(Counter::tcp_pressure_cut_idle), 1u);
  EXPECT_EQ(counters.get(Counter::tcp_pressure_cut_greedy), 0u);
  bool reset = false;
  while (const auto got = next()) reset |= (got->flags & RST) != 0;
  EXPECT_TRUE(reset) << "the peer is told";
  EXPECT_TRUE(stack->open(bare)) << "it holds nothing";
  EXPECT_TRUE(stack->open(busy));
}

TEST_F(ScarceTest, WhoseWindowStaysShutStandsStillThoughItAnswers) {
  const ConnId shut = open(1001);
  const std::uint32_t ours = iss;
  const ConnId busy = open(1003);
  peer->here.port = 1001;
  send({.flags = ACK, .seq = 101, .ack = ours + 1, .window = 0});
  queue(shut, 6);
  for (int i = 0; i < 90; ++i) {
    later(100_ms);
    while (next()) send({.flags = ACK, .seq = 101, .ack = ours + 1, .window = 0});
  }
  queue(busy, 55);
  ASSERT_GE(stack->held_buffers(), 60u);
  stack->expire(now);
  EXPECT_EQ(events(), event_reset | event_cut | event_closed);
  EXPECT_EQ(id, shut);
  EXPECT_EQ(counters.get(Counter::tcp_pressure_cut_idle), 1u);
  EXPECT_TRUE(stack->open(busy));
}

TEST_F(ScarceTest, ThenTheGreediest) {
  const ConnId small = open(1001), greedy = open(1002);
  for (std::uint16_t i = 0; i < 6; ++i) open(static_cast<std::uint16_t>(1003 + i));
  queue(small, 2);
  queue(greedy, 60);
  ASSERT_GE(stack->held_buffers(), 60u);
  events();
  for (int i = 0; i < 4; ++i) stack->expire(now);
  EXPECT_EQ(events(), event_reset | event_cut | event_closed);
  EXPECT_EQ(id, greedy);
  EXPECT_EQ(counters.get(Counter::tcp_pressure_cut_greedy), 1u);
  EXPECT_TRUE(stack->open(small));
  EXPECT_LE(stack->held_buffers(), 2u);
  for (int i = 0; i < 4; ++i) stack->expire(now);
  EXPECT_EQ(counters.get(Counter::tcp_pressure_cut_greedy), 1u) << "one is enough";
}

TEST_F(ScarceTest, WithRoomNobodyIsCut) {
  const ConnId holder = open(1001);
  queue(holder, 50);
  while (next()) {}
  for (int i = 0; i < 100; ++i) stack->expire(now);
  EXPECT_EQ(events(), 0);
  EXPECT_TRUE(stack->open(holder));
}

// Buffers are short, and what came too early holds one: what is next in line is worth more.
TEST_F(PressureTest, WhatIsNextInLineTakesThePlaceOfWhatCameTooEarly) {
  Config c;
  c.held_buffers_max = 96;
  start(c);
  open();
  give(86 * buffer_data_size);
  while (next()) {}
  ASSERT_GE(stack->held_buffers(), 84u) << "tight";
  ASSERT_LT(stack->held_buffers(), 90u) << "nobody is cut";
  send({.flags = ACK, .seq = 201, .ack = iss + 1, .payload = std::string(100, 'b')});
  EXPECT_EQ(info().out_of_order, 100u);
  send({.flags = ACK, .seq = 101, .ack = iss + 1, .payload = std::string(100, 'a')});
  EXPECT_EQ(info().receive_queue, 100u);
  EXPECT_EQ(info().out_of_order, 0u);
  EXPECT_EQ(stack->audit(), nullptr);
  Chain in;
  stack->receive(id, in);
  in.clear();
  stack->consumed(id, 100, now);
  send({.flags = ACK, .seq = 201, .ack = iss + 1, .payload = std::string(100, 'b')});
  EXPECT_EQ(info().bytes_received, 200u);
}

}  // namespace
}  // namespace sluice::tcp
