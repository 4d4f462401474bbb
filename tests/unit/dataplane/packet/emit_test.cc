#include "dataplane/packet/emit.h"

#include <gtest/gtest.h>

#include "dataplane/packet/tx_queue.h"
#include "dataplane/port/memory_port.h"
#include "tests/support/frames.h"

namespace sluice {
namespace {

namespace frames = test::frames;
using Frame = std::vector<std::uint8_t>;

struct EmitTest : testing::Test {
  Buffers buffers{"emit_test", 255, 63, 0, -1};
  Counters counters;
  PortCaps bare;  // everything is done in software
  const std::uint8_t timestamps[12] = {1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9};
  const IpFields ip4{*parse_ip("192.0.2.1"), *parse_ip("198.51.100.7"), 64, 2};
  const IpFields ip6{*parse_ip("2001:db8::1"), *parse_ip("2001:db8:1::7"), 64, 2};
  TcpFields tcp{.source = 443,
                .destination = 40000,
                .sequence = 1000,
                .acknowledgement = 2000,
                .flags = 0x18,
                .window = 512,
                .options = timestamps};

  Packet hello() {
    Packet packet = buffers.make();
    std::memcpy(packet.data(), "hello", 5);
    packet.get()->data_len = packet.get()->pkt_len = 5;
    return packet;
  }
  // What a port without any offload sends, without its Ethernet header.
  Frame sent(Packet packet) {
    MemoryPort port{bare, buffers};
    TxQueue queue{port, 0, buffers, counters};
    prepend_ethernet(packet, {}, {}, 0, wire::EtherType::ip4);
    queue.push(std::move(packet), {});
    queue.flush({});
    const auto frame = port.collect_bytes();
    return frame ? Frame(frame->begin() + 14, frame->end()) : Frame{};
  }
};

TEST_F(EmitTest, MakesWhatScapyMakes) {
  Packet packet = hello();
  prepend_tcp(packet, ip4, tcp);
  EXPECT_EQ(sent(std::move(packet)), frames::bytes_of(frames::emitted_tcp4));
  packet = hello();
  prepend_tcp(packet, ip6, tcp);
  EXPECT_EQ(sent(std::move(packet)), frames::bytes_of(frames::emitted_tcp6));
  packet = hello();
  IpFields plain = ip6;
  plain.traffic_class = 0;
  prepend_udp(packet, plain, 443, 40000);
  EXPECT_EQ(sent(std::move(packet)), frames::bytes_of(frames::emitted_udp6));
}

TEST_F(EmitTest, PayloadBehindIsNotTouched) {
  Chain payload{hello()}, copy;
  ASSERT_TRUE(payload.share(0, 5, copy, buffers));
  Packet packet = buffers.make();
  attach(packet, std::move(copy));
  prepend_tcp(packet, ip4, tcp);
  EXPECT_EQ(packet.get()->nb_segs, 2);
  EXPECT_EQ(packet.size(), 20 + 32 + 5u);
  EXPECT_EQ(sent(std::move(packet)), frames::bytes_of(frames::emitted_tcp4));
  EXPECT_EQ(text(payload.front()), "hello");
}

TEST_F(EmitTest, AsksForOffloadsAsDpdkWantsThem) {
  Packet packet = buffers.make();
  Chain payload;
  ASSERT_TRUE(payload.append_bytes(bytes(std::string(4000, 'x')), buffers));
  attach(packet, std::move(payload));
  prepend_tcp(packet, ip4, tcp, 1448);
  prepend_ethernet(packet, {}, {}, 100, wire::EtherType::ip4);
  const rte_mbuf* mbuf = packet.get();
  EXPECT_EQ(mbuf->ol_flags,
            RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_TCP_SEG);
  EXPECT_EQ(mbuf->l2_len, 18);
  EXPECT_EQ(mbuf->l3_len, 20);
  EXPECT_EQ(mbuf->l4_len, 32);
  EXPECT_EQ(mbuf->tso_segsz, 1448);
  EXPECT_EQ(mbuf->pkt_len, 18 + 20 + 32 + 4000u);
  // The sum of c000 0201 c633 6407 0006, by hand, and no length: the port adds that of each segment.
  EXPECT_EQ(packet.at<wire::Tcp>(38).checksum.get(), 0xec42);
}

TEST_F(EmitTest, SmallPayloadIsNotCut) {
  Packet packet = hello();
  prepend_tcp(packet, ip6, tcp, 1448);
  EXPECT_EQ(packet.get()->ol_flags, RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_TCP_CKSUM);
}

TEST_F(EmitTest, TheHeadroomTakesAllHeaders) {
  Packet packet = hello();
  std::uint8_t options[40] = {};
  tcp.options = options;
  prepend_tcp(packet, ip6, tcp);
  prepend_ethernet(packet, {}, {}, 7, wire::EtherType::ip6);
  EXPECT_EQ(packet.size(), headers_max + 5u);
  strip(packet, headers_max);
  EXPECT_EQ(text(packet.bytes()), "hello");
  EXPECT_EQ(packet.get()->ol_flags, 0u);
}

}  // namespace
}  // namespace sluice
