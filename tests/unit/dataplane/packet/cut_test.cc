// What a port that cuts nothing is given in place of a large segment: frames that parse finds whole (lengths,
// checksums), with the sequence numbers and flags that a NIC would give them, and the payload byte by byte.
#include "dataplane/packet/cut.h"

#include <gtest/gtest.h>

#include "dataplane/packet/emit.h"
#include "dataplane/packet/parse.h"
#include "dataplane/packet/tx_queue.h"
#include "dataplane/packet/wire/tcp.h"
#include "dataplane/port/memory_port.h"

namespace sluice {
namespace {

using wire::Tcp;

struct CutTest : testing::Test {
  Buffers buffers{"cut_test", 2047, 255, 0, -1};
  Counters counters;
  void SetUp() override { ASSERT_TRUE(buffers.ok()); }
  void TearDown() override {
    EXPECT_EQ(buffers.data_free() + buffers.slices_free(), 2047u + 255u) << "a buffer is lost";
  }
  // A frame that asks to be cut, its payload in buffers of these sizes, counting up from 0.
  Packet large(bool v4, std::span<const std::uint32_t> sizes, std::uint16_t mss, std::uint8_t flags) {
    Chain payload;
    std::uint8_t next = 0;
    for (const std::uint32_t size : sizes) {
      Packet segment = buffers.make();
      for (std::uint32_t i = 0; i < size; ++i) segment.data()[i] = next++;
      segment.get()->data_len = static_cast<std::uint16_t>(size);
      segment.get()->pkt_len = size;
      payload.append(std::move(segment));
    }
    return large(v4, std::move(payload), mss, flags);
  }
  Packet large(bool v4, Chain payload, std::uint16_t mss, std::uint8_t flags) {
    constexpr std::uint8_t stamps[12] = {1, 1, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6};
    Packet packet = buffers.make();
    attach(packet, std::move(payload));
    prepend_tcp(packet,
                {.source = *parse_ip(v4 ? "192.0.2.1" : "2001:db8::1"),
                 .destination = *parse_ip(v4 ? "192.0.2.2" : "2001:db8::2")},
                {.source = 1000, .destination = 2000, .sequence = 0xfffffff0, .flags = flags, .options = stamps}, mss);
    prepend_ethernet(packet, {}, {}, 0, v4 ? wire::EtherType::ip4 : wire::EtherType::ip6);
    return packet;
  }
};

TEST_F(CutTest, FramesAreWholeAndCarryTheBytesInOrder) {
  constexpr std::uint32_t even[] = {1000, 1000, 1000, 500}, odd[] = {1, 1999, 3, 700, 2000, 1}, one[] = {1001};
  for (const bool v4 : {true, false})
    for (const bool sums : {true, false})
      for (const std::span<const std::uint32_t> sizes :
           {std::span<const std::uint32_t>{even}, std::span<const std::uint32_t>{odd},
            std::span<const std::uint32_t>{one}}) {
        PortCaps caps{.tx_ip4_checksum = sums, .tx_l4_checksum = sums, .multi_segment = true, .shared_buffers = true};
        MemoryPort port{caps, buffers};
        TxQueue queue{port, 0, buffers, counters};
        queue.push(large(v4, sizes, 1000, Tcp::ack | Tcp::psh | Tcp::fin | Tcp::cwr), {});
        queue.flush({});
        std::uint32_t total = 0, at = 0;
        for (const std::uint32_t size : sizes) total += size;
        while (Packet frame = port.collect()) {
          ASSERT_EQ(rte_pktmbuf_linearize(frame.get()), 0);
          EXPECT_EQ(bool(frame.get()->ol_flags & RTE_MBUF_F_TX_TCP_CKSUM), sums);
          // The port stands for a NIC that fills checksums in, or has them already.
          frame.get()->ol_flags = sums ? RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD : 0;
          const std::size_t whole = frame.size();
          ASSERT_TRUE(parse(frame, true, counters));
          const Meta& meta = frame.meta();
          EXPECT_EQ(meta.payload_offset + meta.payload_size, whole);
          const std::uint32_t size = std::min(total - at, 1000u);
          ASSERT_EQ(meta.payload_size, size);
          const auto& tcp = frame.at<Tcp>(meta.l4_offset);
          EXPECT_EQ(tcp.sequence.get(), 0xfffffff0 + at);
          std::uint8_t flags = Tcp::ack;
          if (at == 0) flags |= Tcp::cwr;
          if (at + size == total) flags |= Tcp::psh | Tcp::fin;
          EXPECT_EQ(tcp.flags, flags);
          for (std::uint32_t i = 0; i < size; ++i)
            ASSERT_EQ(frame.data()[meta.payload_offset + i], static_cast<std::uint8_t>(at + i));
          at += size;
        }
        EXPECT_EQ(at, total);
        EXPECT_EQ(counters.get(Counter::payload_copied_bytes), 0u);
      }
}

TEST_F(CutTest, ThePseudoHeadersSumHasEachFramesLength) {
  constexpr std::uint32_t sizes[] = {1000, 300};
  const auto sums = [&](Packet frame) {
    return frame.at<Tcp>(static_cast<std::uint16_t>(frame.get()->l2_len + frame.get()->l3_len)).checksum.raw();
  };
  Cutter cutter{large(true, sizes, 1000, Tcp::ack)};
  for (const std::uint32_t size : {1000u, 300u}) {
    const std::uint32_t alone[] = {size};
    EXPECT_EQ(sums(cutter.next(buffers)), sums(large(true, alone, 0, Tcp::ack))) << "as a frame that nobody cuts";
  }
  EXPECT_FALSE(cutter.next(buffers));
  EXPECT_EQ(cutter.left(), 0u);
}

TEST_F(CutTest, HeadersStandInFrontOfPayloadThatOnlyItsSenderHas) {
  Chain queue;
  for (unsigned i = 0; i < 4; ++i) {
    Packet segment = buffers.make();
    segment.get()->data_off = static_cast<std::uint16_t>(buffer_headroom + 66);  // behind the headers it came with
    std::memset(rte_pktmbuf_append(segment.get(), 1000), static_cast<int>('a' + i), 1000);
    queue.append(std::move(segment));
  }
  const auto slices = [&](std::uint64_t flag) {
    Chain out;
    for (rte_mbuf* segment = queue.first(); segment; segment = segment->next) {
      Packet slice = buffers.slice(segment, 0, 1000);
      slice.get()->ol_flags |= flag;
      out.append(std::move(slice));
    }
    return out;
  };
  const auto is_right = [&](Packet& frame, unsigned i) {
    Packet copy{rte_pktmbuf_copy(frame.get(), buffers.data_pool(), 0, UINT32_MAX)};
    copy.get()->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    if (!parse(copy, true, counters) || copy.meta().payload_size != 1000) return false;
    const std::uint8_t* payload = copy.data() + copy.meta().payload_offset;
    return copy.at<Tcp>(copy.meta().l4_offset).sequence.get() == 0xfffffff0 + i * 1000 &&
           std::all_of(payload, payload + 1000, [i](std::uint8_t byte) { return byte == 'a' + i; });
  };
  const auto frames = [&](Packet whole) {
    std::vector<Packet> out;
    for (Cutter cutter{std::move(whole)}; Packet frame = cutter.next(buffers);) out.push_back(std::move(frame));
    return out;
  };
  const auto are_right = [&](std::vector<Packet>& all, std::initializer_list<unsigned> segments) {
    ASSERT_EQ(all.size(), segments.size());
    for (unsigned i = 0; i < all.size(); ++i) {
      EXPECT_TRUE(is_right(all[i], i)) << i;
      EXPECT_EQ(all[i].get()->nb_segs, segments.begin()[i]) << i;
    }
  };
  std::vector<Packet> first = frames(large(true, slices(leading_slice), 1000, Tcp::ack));
  are_right(first, {2, 1, 1, 1});
  // Sent again while the first is under way: its headers must not change.
  std::vector<Packet> again = frames(large(false, slices(leading_slice), 1000, Tcp::ack));
  are_right(again, {2, 2, 2, 2});
  are_right(first, {2, 1, 1, 1});
  first.clear();
  again.clear();
  std::vector<Packet> later = frames(large(false, slices(leading_slice), 1000, Tcp::ack));
  are_right(later, {2, 1, 1, 1});
  later.clear();
  // What nobody said is free is not written to.
  std::vector<Packet> careful = frames(large(true, slices(0), 1000, Tcp::ack));
  are_right(careful, {2, 2, 2, 2});
  careful.clear();
  // Nor where a frame ends within a buffer: the next one's payload begins behind bytes that may be sent again.
  std::uint32_t offset = 0;
  for (const Packet& frame : frames(large(true, slices(leading_slice), 700, Tcp::ack))) {
    EXPECT_EQ(frame.get()->nb_segs, offset / 1000 == std::min(offset + 699, 3999u) / 1000 ? 2 : 3);
    offset += 700;
  }
  std::array<std::uint8_t, 4000> bytes;
  queue.peek(0, bytes);
  for (std::size_t i = 0; i < bytes.size(); ++i) ASSERT_EQ(bytes[i], 'a' + i / 1000) << i;
}

TEST_F(CutTest, WhatIsNotAskedForIsGivenBack) {
  constexpr std::uint32_t sizes[] = {1999, 1999, 1999};
  Cutter cutter{large(false, sizes, 1200, Tcp::ack)};
  EXPECT_TRUE(cutter.next(buffers));
  EXPECT_EQ(cutter.left(), 3 * 1999u - 1200u);
}

}  // namespace
}  // namespace sluice
