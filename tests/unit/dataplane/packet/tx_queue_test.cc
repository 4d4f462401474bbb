#include "dataplane/packet/tx_queue.h"

#include <gtest/gtest.h>

#include "dataplane/packet/emit.h"
#include "dataplane/packet/parse.h"
#include "dataplane/port/memory_port.h"

namespace sluice {
namespace {

// Takes so many frames, then none.
struct NarrowPort : Port {
  std::uint16_t room = 0;
  std::vector<std::uint8_t> taken;  // the first byte of each
  std::uint16_t receive(std::uint16_t, std::span<rte_mbuf*>, Nanos) override { return 0; }
  std::uint16_t transmit(std::uint16_t, std::span<rte_mbuf*> frames, Nanos) override {
    const auto n = static_cast<std::uint16_t>(std::min<std::size_t>(room, frames.size()));
    for (rte_mbuf* frame : frames.first(n))
      taken.push_back(*rte_pktmbuf_mtod(frame, std::uint8_t*)), rte_pktmbuf_free(frame);
    room -= n;
    return n;
  }
  using Port::caps_;
};

struct TxQueueTest : testing::Test {
  Buffers buffers{"tx_queue_test", 2047, 255, 0, -1};
  Counters counters;
  void SetUp() override { ASSERT_TRUE(buffers.ok()); }
  void TearDown() override {
    EXPECT_EQ(buffers.data_free() + buffers.slices_free(), 2047u + 255u) << "a buffer is lost";
  }

  Packet small(std::uint8_t mark) {
    Packet packet = buffers.make();
    std::memset(packet.data(), mark, 60);
    packet.get()->data_len = packet.get()->pkt_len = 60;
    return packet;
  }
  // A frame of TCP over IPv6 with payload in segments of odd sizes, which `kept` shares.
  Packet segments(Chain& kept, std::span<const std::uint32_t> sizes, bool shared) {
    Chain payload;
    std::uint8_t next = 0;
    for (std::uint32_t size : sizes) {
      Packet segment = buffers.make();
      for (std::uint32_t i = 0; i < size; ++i) segment.data()[i] = next++;
      segment.get()->data_len = static_cast<std::uint16_t>(size);
      segment.get()->pkt_len = size;
      payload.append(std::move(segment));
    }
    if (shared && !payload.share(0, payload.size(), kept, buffers)) ADD_FAILURE();
    Packet packet = buffers.make();
    attach(packet, std::move(payload));
    prepend_tcp(packet, {*parse_ip("2001:db8::1"), *parse_ip("2001:db8::2")},
                {.source = 1, .destination = 2, .flags = 0x10});
    prepend_ethernet(packet, {}, {}, 0, wire::EtherType::ip6);
    return packet;
  }
};

PortCaps caps_of(unsigned bits) {
  PortCaps caps;
  caps.tx_ip4_checksum = caps.tx_l4_checksum = bits & 1;
  caps.multi_segment = bits & 2;
  caps.shared_buffers = bits & 4;
  caps.tso = bits & 8;
  return caps;
}

// Issue: "a packet of three segments, and one with a shared buffer, leave every kind of port byte-exact".
TEST_F(TxQueueTest, SegmentsAndSharedBuffersLeaveEveryKindOfPortByteExact) {
  constexpr std::uint32_t three[] = {333, 1, 501}, one[] = {700};
  for (unsigned bits = 0; bits < 16; ++bits) {
    for (bool shared : {false, true}) {
      for (std::span<const std::uint32_t> sizes :
           {std::span<const std::uint32_t>{three}, std::span<const std::uint32_t>{one}}) {
        const PortCaps caps = caps_of(bits);
        MemoryPort port{caps, buffers};
        TxQueue queue{port, 0, buffers, counters};
        Chain kept;
        const auto copied = counters.get(Counter::payload_copied_bytes);
        queue.push(segments(kept, sizes, shared), {});
        queue.flush({});
        Packet out = port.collect();
        ASSERT_TRUE(out);
        // Headers and payload are always two segments here, so that a port for single ones gets a copy.
        const bool copy = !caps.multi_segment || (shared && !caps.shared_buffers);
        const std::uint32_t payload = sizes.size() == 1 ? 700 : 835;
        EXPECT_EQ(counters.get(Counter::payload_copied_bytes) - copied, copy ? payload : 0u) << bits;
        EXPECT_EQ(bool(out.get()->ol_flags & RTE_MBUF_F_TX_L4_MASK), caps.tx_l4_checksum) << bits;
        std::vector<std::uint8_t> bytes(out.size());
        Chain all{std::move(out)};
        all.peek(0, bytes);
        for (std::uint32_t i = 0; i < payload; ++i) ASSERT_EQ(bytes[74 + i], static_cast<std::uint8_t>(i)) << bits;
        if (!caps.tx_l4_checksum) {
          Packet check = buffers.make();
          std::memcpy(check.data(), bytes.data(), bytes.size());
          check.get()->data_len = static_cast<std::uint16_t>(bytes.size());
          check.get()->pkt_len = check.get()->data_len;
          EXPECT_TRUE(parse(check, true, counters)) << bits;
        }
        if (shared) {
          ASSERT_EQ(kept.size(), payload);
          EXPECT_EQ(kept.front()[0], 0);
        }
      }
    }
  }
}

TEST_F(TxQueueTest, TsoIsOfferedOnlyWhereFramesGoOutAsTheyAre) {
  NarrowPort port;
  port.caps_ = caps_of(8 | 2);
  EXPECT_FALSE((TxQueue{port, 0, buffers, counters}.caps().tso));
  port.caps_ = caps_of(15);
  EXPECT_TRUE((TxQueue{port, 0, buffers, counters}.caps().tso));
}

TEST_F(TxQueueTest, WhatFitsNoBufferDies) {
  MemoryPort port{{}, buffers};
  TxQueue queue{port, 0, buffers, counters};
  Chain kept;
  constexpr std::uint32_t fits[] = {2000, 102}, too_much[] = {2000, 103};  // 74 bytes of headers, 2176 of room
  queue.push(segments(kept, fits, false), {});
  EXPECT_EQ(counters.get(Counter::drop_tx_oversize), 0u);
  queue.push(segments(kept, too_much, false), {});
  EXPECT_EQ(counters.get(Counter::drop_tx_oversize), 1u);
  queue.flush({});
  EXPECT_EQ(port.collect_bytes()->size(), 2176u);
  EXPECT_FALSE(port.collect());
}

TEST_F(TxQueueTest, WhatThePortDoesNotTakeWaitsInOrder) {
  NarrowPort port;
  port.caps_ = caps_of(15);
  TxQueue queue{port, 0, buffers, counters};
  port.room = 5;
  for (std::uint8_t i = 0; i < 40; ++i) queue.push(small(i), {});
  queue.flush({});
  EXPECT_EQ(port.taken.size(), 5u);
  port.room = 100;
  queue.flush({});
  ASSERT_EQ(port.taken.size(), 40u);
  for (std::uint8_t i = 0; i < 40; ++i) EXPECT_EQ(port.taken[i], i);
  EXPECT_EQ(counters.get(Counter::tx_packets), 40u);
  EXPECT_EQ(counters.get(Counter::tx_bytes), 40 * 60u);
  EXPECT_EQ(counters.get(Counter::drop_tx_full), 0u);
}

TEST_F(TxQueueTest, APortThatTakesNothingHoldsBoundedBuffersForABoundedTime) {
  NarrowPort port;
  port.caps_ = caps_of(15);
  TxQueue queue{port, 0, buffers, counters};
  for (std::uint32_t i = 0; i < tx_pending_max + 10; ++i) queue.push(small(1), {});
  EXPECT_EQ(queue.pending(), tx_pending_max);
  EXPECT_EQ(counters.get(Counter::drop_tx_full), 10u);
  for (std::uint32_t i = 0; i < tx_stall_flushes; ++i) queue.flush({});
  EXPECT_EQ(queue.pending(), 0u);
  EXPECT_EQ(counters.get(Counter::drop_tx_full), tx_pending_max + 10);
}

}  // namespace
}  // namespace sluice
