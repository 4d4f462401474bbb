#include "dataplane/port/memory_port.h"

#include <gtest/gtest.h>

#include <array>

namespace sluice {
namespace {

struct MemoryPortTest : testing::Test {
  Buffers buffers{"memory_port_test", 64, 16, 0, -1};
  void SetUp() override { ASSERT_TRUE(buffers.ok()); }
  void TearDown() override { EXPECT_EQ(buffers.data_free(), 64u) << "a buffer is lost"; }
  Packet packet(std::string_view content) {
    Packet p = buffers.make();
    std::memcpy(rte_pktmbuf_append(p.get(), static_cast<std::uint16_t>(content.size())), content.data(),
                content.size());
    return p;
  }
  static bool send(Port& port, Packet packet) {
    rte_mbuf* frame = packet.get();
    if (port.transmit(0, {&frame, 1}, {}) != 1) return false;
    packet.release();
    return true;
  }
  static std::string_view whole(const Packet& packet) { return text(packet.bytes()); }
};

TEST_F(MemoryPortTest, InjectsAndCollectsCopies) {
  MemoryPort port{{}, buffers, 4};
  ASSERT_TRUE(port.inject(bytes("hello")));
  std::array<rte_mbuf*, 4> in;
  ASSERT_EQ(port.receive(0, in, {}), 1);
  EXPECT_EQ(whole(Packet{in[0]}), "hello");

  // Three segments, the middle one shared: arrives whole, and the sender's buffer is not what arrives.
  Packet head = packet("one "), middle = packet("two "), tail = packet("three");
  Packet keeper = buffers.slice(middle.get(), 0, 4);
  rte_pktmbuf_chain(middle.get(), tail.release());
  rte_pktmbuf_chain(head.get(), middle.release());
  head.get()->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
  ASSERT_TRUE(send(port, std::move(head)));
  Packet out = port.collect();
  ASSERT_TRUE(out);
  EXPECT_EQ(whole(out), "one two three");
  EXPECT_TRUE(out.get()->ol_flags & RTE_MBUF_F_TX_TCP_CKSUM);
  std::memset(keeper.data(), 'x', 4);
  EXPECT_EQ(whole(out), "one two three");
  EXPECT_FALSE(port.collect());
}

TEST_F(MemoryPortTest, ATallFrameArrivesInAChain) {
  MemoryPort port{{}, buffers, 4};
  std::string content(5000, 0);
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 7);
  Packet head = packet(std::string_view{content}.substr(0, 2000));
  rte_pktmbuf_chain(head.get(), packet(std::string_view{content}.substr(2000, 2000)).release());
  rte_pktmbuf_chain(head.get(), packet(std::string_view{content}.substr(4000)).release());
  ASSERT_TRUE(send(port, std::move(head)));
  const auto out = port.collect_bytes();
  ASSERT_TRUE(out);
  EXPECT_EQ(text(*out), content);
}

TEST_F(MemoryPortTest, AWireCarriesBothWaysAndCountsWhatItLoses) {
  PortCaps trusting;
  trusting.rx_checksum = true;
  MemoryPort a{{}, buffers, 2}, b{trusting, buffers, 2};
  MemoryPort::connect(a, b);
  ASSERT_TRUE(send(a, packet("there")));
  ASSERT_TRUE(send(b, packet("back")));
  std::array<rte_mbuf*, 4> in;
  ASSERT_EQ(b.receive(0, in, {}), 1);
  EXPECT_TRUE(in[0]->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_GOOD);
  EXPECT_EQ(whole(Packet{in[0]}), "there");
  ASSERT_EQ(a.receive(0, in, {}), 1);
  EXPECT_FALSE(in[0]->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_GOOD);
  EXPECT_EQ(whole(Packet{in[0]}), "back");
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(send(a, packet("flood")));
  EXPECT_EQ(b.lost(), 1u);
}

TEST_F(MemoryPortTest, AFullCollectorLeavesFramesWithTheSender) {
  MemoryPort port{{}, buffers, 2};
  EXPECT_TRUE(send(port, packet("1")));
  EXPECT_TRUE(send(port, packet("2")));
  EXPECT_FALSE(send(port, packet("3")));
}

}  // namespace
}  // namespace sluice
