#include "dataplane/core/handoff.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>

#include "dataplane/packet/buffers.h"

namespace sluice {
namespace {

struct HandoffTest : testing::Test {
  Buffers buffers{"handoff_test", 255, 16, 0, -1};
  Counters counters[3];
  void SetUp() override { ASSERT_TRUE(buffers.ok()); }
  void TearDown() override { EXPECT_EQ(buffers.data_free(), 255u) << "a buffer is lost"; }
};

TEST_F(HandoffTest, MetaTravelsAndAFullRingIsACountedDrop) {
  Handoff handoff{3, 4};
  std::array<Packet, 6> burst;
  for (std::uint32_t i = 0; i < burst.size(); ++i) {
    burst[i] = buffers.make();
    burst[i].meta().hash = i;
  }
  handoff.send(0, 2, burst, counters[0]);
  for (const Packet& packet : burst) EXPECT_FALSE(packet);
  EXPECT_EQ(counters[0].get(Counter::handoff_sent), 4u);
  EXPECT_EQ(counters[0].get(Counter::drop_handoff_full), 2u);
  EXPECT_EQ(handoff.waiting(2), 4u);
  std::array<Packet, 8> out;
  EXPECT_EQ(handoff.receive(1, out), 0u) << "they are worker 2's";
  ASSERT_EQ(handoff.receive(2, out), 4u);
  for (std::uint32_t i = 0; i < 4; ++i) {
    EXPECT_EQ(out[i].meta().hash, i);
    EXPECT_TRUE(out[i].meta().handed_off);
  }
}

TEST_F(HandoffTest, NoSenderStarvesAnother) {
  Handoff handoff{3, 8};
  for (int round = 0; round < 4; ++round) {
    for (std::uint16_t from = 0; from < 2; ++from) {
      std::array<Packet, 1> one{buffers.make()};
      one[0].meta().owner = from;
      handoff.send(from, 2, one, counters[from]);
    }
  }
  int seen[2] = {};
  for (int i = 0; i < 6; ++i) {  // one packet a turn
    std::array<Packet, 1> out;
    if (handoff.receive(2, out)) ++seen[out[0].meta().owner];
  }
  EXPECT_GE(seen[0], 2);
  EXPECT_GE(seen[1], 2);
}

TEST_F(HandoffTest, TwoWorkersExchangePacketsWithoutLoss) {
  Handoff handoff{2, 64};
  // Each worker sends 60 of its own packets to the other, at most 60 in flight, and frees what it gets.
  constexpr std::uint32_t total = 60;
  const auto work = [&](unsigned self) {
    std::uint32_t sent = 0, got = 0;
    bool in_order = true;
    while (got < total || sent < total) {
      if (sent < total) {
        std::array<Packet, 1> one{buffers.make()};
        if (one[0]) {
          one[0].meta().hash = sent++;
          handoff.send(self, 1 - self, one, counters[self]);
        }
      }
      std::array<Packet, 8> in;
      const std::size_t n = handoff.receive(self, in);
      for (std::size_t i = 0; i < n; ++i) in_order &= in[i].meta().hash == got++;
      if (!n) std::this_thread::yield();
    }
    EXPECT_TRUE(in_order);
  };
  std::thread other{work, 1};
  work(0);
  other.join();
  EXPECT_EQ(counters[0].get(Counter::drop_handoff_full) + counters[1].get(Counter::drop_handoff_full), 0u);
}

}  // namespace
}  // namespace sluice
