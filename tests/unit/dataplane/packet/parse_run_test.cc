// Runs of one flow: what continues the packet before it in a burst (Meta::continues), is said so and found as if it
// came alone; and nothing else is.
#include "dataplane/packet/emit.h"
#include "tests/unit/dataplane/packet/parse_script.h"

namespace sluice {
namespace {

struct ParseRunTest : ParseTest {
  static constexpr std::uint64_t good_sums = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD,
                                 no_sums = RTE_MBUF_F_RX_IP_CKSUM_NONE | RTE_MBUF_F_RX_L4_CKSUM_NONE;
  bool v4 = true;
  std::uint16_t vlan = 0;
  std::uint64_t sums = good_sums;

  Packet data(std::uint32_t sequence, std::uint16_t size, std::uint8_t flags = wire::Tcp::ack) {
    constexpr std::uint8_t stamps[12] = {1, 1, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6};
    Packet p = buffers.make();
    std::memset(rte_pktmbuf_append(p.get(), size), 'x', size);
    prepend_tcp(p,
                {.source = *parse_ip(v4 ? "192.0.2.1" : "2001:db8::1"),
                 .destination = *parse_ip(v4 ? "192.0.2.2" : "2001:db8::2")},
                {.source = 1000,
                 .destination = 2000,
                 .sequence = sequence,
                 .acknowledgement = 77,
                 .flags = flags,
                 .window = 500,
                 .options = stamps});
    prepend_ethernet(p, {{2, 0, 0, 0, 0, 1}}, {{2, 0, 0, 0, 0, 2}}, vlan,
                     v4 ? wire::EtherType::ip4 : wire::EtherType::ip6);
    if (p.size() < 60) rte_pktmbuf_append(p.get(), static_cast<std::uint16_t>(60 - p.size()));  // Ethernet's padding
    p.get()->ol_flags = sums;
    p.get()->tx_offload = 0;
    std::memset(static_cast<void*>(&p.meta()), 0xa5, sizeof(Meta));
    p.meta().port = 3;
    return p;
  }
  // Whether the second of the two passes and continues the first.
  bool joins(Packet first, Packet second) {
    std::array<Packet, 2> burst{std::move(first), std::move(second)};
    return parse(burst, true, counters) == 2 && burst[1].meta().continues;
  }
};

TEST_F(ParseRunTest, DataInOrderContinuesWhatStandsBeforeItAndIsFoundAsIfItCameAlone) {
  for (const bool ip4 : {true, false})
    for (const std::uint16_t tag : {0, 100})
      for (const std::uint64_t hardware : {good_sums, no_sums}) {
        v4 = ip4, vlan = tag, sums = hardware;
        const auto make = [&] {
          std::vector<Packet> frames;
          std::uint32_t sequence = 0xffffff00;
          for (const std::uint16_t size : {500, 500, 500, 1}) frames.push_back(data(sequence, size)), sequence += size;
          frames.push_back(data(sequence, 400, wire::Tcp::ack | wire::Tcp::psh));
          frames.push_back(data(sequence + 400, 400));
          return frames;
        };
        std::vector<Packet> burst = make(), alone = make();
        ASSERT_EQ(parse(burst, true, counters), burst.size());
        const bool expected[] = {false, true, true, true, true, false};
        for (std::size_t i = 0; i < burst.size(); ++i) {
          EXPECT_EQ(burst[i].meta().continues, expected[i]) << i;
          ASSERT_TRUE(parse(alone[i], true, counters));
          alone[i].meta().continues = expected[i];
          EXPECT_EQ(std::memcmp(&burst[i].meta(), &alone[i].meta(), offsetof(Meta, story)), 0) << i;
          EXPECT_EQ(burst[i].size(), alone[i].size()) << "padding";
        }
      }
}

TEST_F(ParseRunTest, WhateverElseDiffersEndsARun) {
  EXPECT_TRUE(joins(data(100, 10), data(110, 10)));
  EXPECT_TRUE(joins(data(100, 10), data(110, 20))) << "sizes are TCP's to judge";
  EXPECT_FALSE(joins(data(100, 10), data(111, 10))) << "a hole";
  EXPECT_FALSE(joins(data(100, 10), data(109, 10))) << "an overlap";
  EXPECT_FALSE(joins(data(100, 10), data(110, 0))) << "no data";
  EXPECT_FALSE(joins(data(100, 0), data(100, 10))) << "behind no data";
  EXPECT_FALSE(joins(data(100, 0), data(100, 0))) << "an ACK twice";
  EXPECT_FALSE(joins(data(100, 10), data(110, 10, wire::Tcp::ack | wire::Tcp::fin)));
  EXPECT_FALSE(joins(data(100, 10, wire::Tcp::ack | wire::Tcp::cwr), data(110, 10)));
  Packet elsewhere = data(110, 10);
  elsewhere.meta().port = 4;
  EXPECT_FALSE(joins(data(100, 10), std::move(elsewhere)));
  for (const bool ip4 : {true, false}) {
    v4 = ip4;
    // What each packet has of its own: lengths (below), IPv4's id and sum, TCP's sum and the pointer that no URG makes
    // good.
    const std::size_t tcp = ip4 ? 34 : 54, headers = tcp + 32;
    const auto own = [&](std::size_t at) {
      return (ip4 && ((at >= 16 && at < 20) || at == 24 || at == 25)) || (!ip4 && (at == 18 || at == 19)) ||
             (at >= tcp + 16 && at < tcp + 20);
    };
    for (std::size_t at = 0; at < headers; ++at) {
      if (own(at)) continue;
      Packet changed = data(110, 10);
      changed.data()[at] ^= at == tcp + 13 ? 0x40 : 0x01;
      EXPECT_FALSE(joins(data(100, 10), std::move(changed))) << (ip4 ? "IPv4 " : "IPv6 ") << at;
    }
    Packet other_id = data(110, 10);
    if (ip4) other_id.data()[19] ^= 1;
    EXPECT_TRUE(joins(data(100, 10), std::move(other_id)));
  }
}

TEST_F(ParseRunTest, AnAckContinuesOneThatAcknowledgesLess) {
  for (const bool ip4 : {true, false}) {
    v4 = ip4;
    const std::size_t tcp = ip4 ? 34 : 54;
    const auto ack = [&](std::uint32_t number, std::uint16_t window = 500, std::uint8_t flags = wire::Tcp::ack) {
      Packet p = data(100, 0, flags);
      auto& header = p.at<wire::Tcp>(static_cast<std::uint16_t>(tcp));
      header.acknowledgement = Be32{number};
      header.window = Be16{window};
      return p;
    };
    EXPECT_TRUE(joins(ack(0xfffffff0), ack(5)));
    EXPECT_TRUE(joins(ack(10), ack(11, 400)));
    EXPECT_FALSE(joins(ack(10), ack(10, 400))) << "a window's news";
    EXPECT_FALSE(joins(ack(10), ack(9)));
    EXPECT_FALSE(joins(ack(10), ack(11, 500, wire::Tcp::ack | wire::Tcp::psh)));
    EXPECT_FALSE(joins(ack(10), ack(11, 500, wire::Tcp::ack | wire::Tcp::ece)));
    Packet stamped = ack(11);
    stamped.data()[tcp + 31] ^= 1;
    EXPECT_FALSE(joins(ack(10), std::move(stamped))) << "another timestamp";
  }
}

TEST_F(ParseRunTest, LyingLengthsJoinNothing) {
  for (const bool ip4 : {true, false}) {
    v4 = ip4;
    const std::size_t at = ip4 ? 16 : 18;
    for (const std::uint32_t length : {0u, 1u, 19u, 20u, 51u, 200u, 0xffffu}) {
      Packet lying = data(110, 10);
      lying.data()[at] = static_cast<std::uint8_t>(length >> 8);
      lying.data()[at + 1] = static_cast<std::uint8_t>(length);
      EXPECT_FALSE(joins(data(100, 10), std::move(lying))) << length;
    }
  }
}

TEST_F(ParseRunTest, AWrongChecksumIsSeenInARunToo) {
  sums = 0;
  Packet first = data(100, 10), second = data(110, 10);
  for (Packet* p : {&first, &second}) {  // the sums that a sender in software makes
    p->get()->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_NONE;
    ASSERT_TRUE(parse(*p, true, counters));
    p->get()->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD;
  }
  second.data()[70] ^= 1;
  EXPECT_FALSE(joins(std::move(first), std::move(second)));
  EXPECT_EQ(counters.get(Counter::drop_bad_checksum), 1u);
}

}  // namespace
}  // namespace sluice
