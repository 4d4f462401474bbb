// Who has a Transit, who does without, and what happens when there is none left.
#include "l4/tcp/transit.h"

#include <set>

#include "l4/tcp/core.h"
#include "l4/tcp/tcb.h"
#include "tests/unit/l4/tcp/script.h"

namespace sluice::tcp {
namespace {

TEST(TransitsTest, LastInFirstOutAndNeverTheSameTwice) {
  Transits pool{3};
  std::set<Transit*> seen;
  Transit* last = nullptr;
  for (int i = 0; i < 3; ++i) seen.insert(last = pool.take());
  EXPECT_EQ(seen.size(), 3u);
  EXPECT_FALSE(seen.contains(nullptr));
  EXPECT_EQ(pool.take(), nullptr);
  EXPECT_EQ(pool.left(), 0u);
  last->undo_resends = 7;
  last->dsack_begin = Seq{9};
  pool.give(last);
  EXPECT_EQ(pool.used(), 2u);
  Transit* again = pool.take();
  EXPECT_EQ(again, last) << "the one that is in the cache";
  EXPECT_EQ(*again, Transit{}) << "as new";
}

struct TransitTest : ScriptTest {
  // A second connection, of another port, so that there is somebody to compete with.
  ConnId establish_other(const Bytes& options = {2, 4, 0x05, 0xb4}) {
    const ConnId first = id;
    peer->here.port = 1001;
    const std::uint32_t ours = iss;
    establish(options);
    other_iss = iss;
    iss = ours;
    peer->here.port = 1000;
    const ConnId other = id;
    id = first;
    return other;
  }
  std::uint32_t other_iss = 0;
};

TEST_F(TransitTest, AConnectionAtRestHasNone) {
  start({.transits = 1});
  establish();
  // In order and answered: nothing is kept.
  for (std::uint32_t i = 0; i < 3; ++i) {
    send({.flags = ACK, .seq = 101 + i, .ack = iss + 1, .payload = "x"});
    EXPECT_EQ(stack->transits_used(), 0u);
  }
  while (next()) {}
  give(10);
  ASSERT_TRUE(next());
  EXPECT_EQ(stack->transits_used(), 1u);
  send({.flags = ACK, .seq = 104, .ack = iss + 11});
  EXPECT_EQ(stack->transits_used(), 0u) << "all is acknowledged";
  give(10);
  ASSERT_TRUE(next());
  stack->abort(id, now);
  EXPECT_EQ(stack->transits_used(), 0u);
  EXPECT_EQ(stack->audit(), nullptr);
}

TEST_F(TransitTest, ADuplicateIsReportedAndForgotten) {
  establish({2, 4, 0x05, 0xb4, 4, 2, 1, 1});
  send({.flags = ACK, .seq = 101, .ack = iss + 1, .payload = "abc"});
  while (next()) {}
  send({.flags = ACK, .seq = 101, .ack = iss + 1, .payload = "abc"});
  EXPECT_EQ(stack->transits_used(), 1u);
  const auto got = next();
  ASSERT_TRUE(got);
  ASSERT_EQ(got->options.sack_count, 1u);
  EXPECT_EQ(got->options.sack[0], (Range{Seq{101}, Seq{104}}));
  later(1_ms);
  EXPECT_EQ(stack->transits_used(), 0u);
}

TEST_F(TransitTest, SendingWaitsForOne) {
  start({.transits = 1});
  establish();
  give(10);
  ASSERT_TRUE(next());
  const ConnId other = establish_other();
  const std::uint64_t before = counters.get(Counter::tcp_no_records);
  Chain out;
  ASSERT_TRUE(out.append_bytes(bytes(std::string("later")), buffers));
  stack->send(other, std::move(out));
  EXPECT_SILENCE();
  EXPECT_GT(counters.get(Counter::tcp_no_records), before) << "a refusal is counted";
  EXPECT_EQ(stack->audit(), nullptr);
  send({.flags = ACK, .seq = 101, .ack = iss + 11});  // the first is done with its own
  const auto got = next();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->payload, "later");
  EXPECT_EQ(got->seq, other_iss + 1);
}

TEST_F(TransitTest, WhatIsOutOfOrderIsDroppedAndComesAgain) {
  start({.transits = 1});
  establish();
  give(10);
  ASSERT_TRUE(next());
  const ConnId other = establish_other();
  peer->here.port = 1001;
  send({.flags = ACK, .seq = 104, .ack = other_iss + 1, .payload = "def"});
  send({.flags = ACK | FIN, .seq = 107, .ack = other_iss + 1});
  EXPECT_EQ(counters.get(Counter::drop_tcp_out_of_order), 1u);
  EXPECT_EQ(counters.get(Counter::tcp_no_transit), 1u) << "the FIN";
  EXPECT_EQ(stack->audit(), nullptr);
  send({.flags = ACK, .seq = 101, .ack = other_iss + 1, .payload = "abc"});
  send({.flags = ACK, .seq = 104, .ack = other_iss + 1, .payload = "def"});
  send({.flags = ACK | FIN, .seq = 107, .ack = other_iss + 1});
  Chain in;
  stack->receive(other, in);
  EXPECT_EQ(in.size(), 6u);
  EXPECT_TRUE(stack->at_end(other)) << "a FIN that comes in its turn needs none";
  EXPECT_EQ(stack->audit(), nullptr);
}

// RFC 2883 lets a receiver say nothing of a duplicate; the ACK itself must come.
TEST_F(TransitTest, ADuplicateIsAcknowledgedWithoutBeingReported) {
  start({.transits = 1});
  const Bytes sack{2, 4, 0x05, 0xb4, 4, 2, 1, 1};
  establish(sack);
  const ConnId other = establish_other(sack);
  peer->here.port = 1001;
  send({.flags = ACK, .seq = 101, .ack = other_iss + 1, .payload = "abc"});
  while (next()) {}
  peer->here.port = 1000;
  give(10);
  ASSERT_TRUE(next());
  ASSERT_EQ(stack->transits_used(), 1u);
  peer->here.port = 1001;
  send({.flags = ACK, .seq = 101, .ack = other_iss + 1, .payload = "abc"});
  EXPECT_EQ(counters.get(Counter::tcp_no_transit), 1u);
  const auto got = next();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->ack, 104u);
  EXPECT_EQ(got->options.sack_count, 0u);
  Chain in;
  stack->receive(other, in);
  EXPECT_EQ(in.size(), 3u);
  EXPECT_EQ(stack->audit(), nullptr);
}

}  // namespace
}  // namespace sluice::tcp
