#include "dataplane/packet/parse.h"

#include <gtest/gtest.h>

#include "dataplane/packet/buffers.h"
#include "dataplane/packet/emit.h"
#include "tests/support/frames.h"

namespace sluice {
namespace {

namespace frames = test::frames;
using Frame = std::vector<std::uint8_t>;

struct ParseTest : testing::Test {
  Buffers buffers{"parse_test", 255, 63, 0, -1};
  Counters counters;
  void SetUp() override { ASSERT_TRUE(buffers.ok()); }
  void TearDown() override { EXPECT_EQ(buffers.data_free(), 255u) << "a buffer is lost"; }

  Packet packet(const Frame& frame, std::uint64_t flags = 0) {
    Packet p = buffers.make();
    std::memset(static_cast<void*>(&p.meta()), 0xa5, sizeof(Meta));  // as a driver leaves it
    if (!frame.empty()) std::memcpy(p.data(), frame.data(), frame.size());
    p.get()->data_len = static_cast<std::uint16_t>(frame.size());
    p.get()->pkt_len = p.get()->data_len;
    p.get()->ol_flags = flags;
    return p;
  }
  // What became of a frame: its Meta, or the counter it died under.
  Packet good(const Frame& frame, std::uint64_t flags = 0) {
    Packet p = packet(frame, flags);
    EXPECT_TRUE(parse(p, true, counters));
    return p;
  }
  void dies(const Frame& frame, Counter reason, std::uint64_t flags = 0) {
    const auto before = counters.get(reason);
    Packet p = packet(frame, flags);
    EXPECT_FALSE(parse(p, true, counters));
    EXPECT_FALSE(p);
    EXPECT_EQ(counters.get(reason), before + 1);
  }
};

void expect(const Packet& packet, L3 l3, Protocol protocol, std::uint16_t l3_offset, std::uint16_t l4_offset,
            std::uint16_t payload_offset, std::uint16_t payload_size) {
  const Meta& meta = packet.meta();
  EXPECT_EQ(meta.l3, l3);
  EXPECT_EQ(meta.protocol, protocol);
  EXPECT_EQ(meta.l3_offset, l3_offset);
  EXPECT_EQ(meta.l4_offset, l4_offset);
  EXPECT_EQ(meta.payload_offset, payload_offset);
  EXPECT_EQ(meta.payload_size, payload_size);
}

TEST_F(ParseTest, FindsTheHeadersOfWhatScapyMade) {
  Packet tcp4 = good(frames::bytes_of(frames::tcp4));
  expect(tcp4, L3::ip4, Protocol::tcp, 14, 34, 54, 5);
  EXPECT_EQ(tcp4.meta().source_port, 40000);
  EXPECT_EQ(tcp4.meta().destination_port, 443);
  EXPECT_EQ(tcp4.meta().tcp_flags, 0x18);
  EXPECT_TRUE(tcp4.meta().l3_checksum_good && tcp4.meta().l4_checksum_good);
  EXPECT_FALSE(tcp4.meta().fragment || tcp4.meta().traced || tcp4.meta().handed_off);
  EXPECT_EQ(tcp4.meta().port, 0xa5a5) << "the receiver's to fill";
  expect(good(frames::bytes_of(frames::tcp4_syn)), L3::ip4, Protocol::tcp, 14, 34, 74, 0);
  expect(good(frames::bytes_of(frames::tcp6)), L3::ip6, Protocol::tcp, 14, 54, 74, 5);
  expect(good(frames::bytes_of(frames::udp4)), L3::ip4, Protocol::udp, 14, 34, 42, 3);
  expect(good(frames::bytes_of(frames::udp4_no_checksum)), L3::ip4, Protocol::udp, 14, 34, 42, 3);
  expect(good(frames::bytes_of(frames::udp6)), L3::ip6, Protocol::udp, 14, 54, 62, 3);
  expect(good(frames::bytes_of(frames::options_udp4)), L3::ip4, Protocol::udp, 14, 38, 46, 3);
  expect(good(frames::bytes_of(frames::echo4)), L3::ip4, Protocol::icmp, 14, 34, 42, 10);
  expect(good(frames::bytes_of(frames::echo6)), L3::ip6, Protocol::icmp6, 14, 54, 62, 10);
  expect(good(frames::bytes_of(frames::gre4)), L3::ip4, static_cast<Protocol>(47), 14, 34, 34, 12);
  EXPECT_EQ(good(frames::bytes_of(frames::arp_request)).meta().l3, L3::arp);
}

TEST_F(ParseTest, TakesOneTag) {
  Packet v4 = good(frames::bytes_of(frames::vlan_udp4));
  expect(v4, L3::ip4, Protocol::udp, 18, 38, 46, 4);
  EXPECT_EQ(v4.meta().vlan, 100);
  expect(good(frames::bytes_of(frames::vlan_tcp6)), L3::ip6, Protocol::tcp, 18, 58, 78, 2);
  Frame stacked = frames::bytes_of(frames::vlan_udp4);
  stacked[16] = 0x81, stacked[17] = 0x00;
  EXPECT_EQ(good(stacked).meta().l3, L3::none) << "the kernel's";
}

TEST_F(ParseTest, WalksExtensionHeadersUnderABound) {
  expect(good(frames::bytes_of(frames::extensions_tcp6)), L3::ip6, Protocol::tcp, 14, 94, 114, 1);
  dies(frames::bytes_of(frames::routing0_tcp6), Counter::drop_malformed);
  // Destination options, one after another: 8 are walked, 9 are not.
  const auto chain = [](unsigned count) {
    Frame frame = frames::bytes_of(frames::udp6);
    frame[20] = 60;
    Frame options;
    for (unsigned i = 0; i < count; ++i)
      for (std::uint8_t byte : {i + 1 < count ? 60 : 17, 0, 1, 4, 0, 0, 0, 0}) options.push_back(byte);
    frame.insert(frame.begin() + 54, options.begin(), options.end());
    frame[19] = static_cast<std::uint8_t>(frame[19] + options.size());
    return frame;
  };
  expect(good(chain(8)), L3::ip6, Protocol::udp, 14, 118, 126, 3);
  dies(chain(9), Counter::drop_malformed);
  Frame late_hop_by_hop = chain(2);
  late_hop_by_hop[54] = 0;
  dies(late_hop_by_hop, Counter::drop_malformed);  // RFC 8200 4.1: first or not at all
}

TEST_F(ParseTest, MarksFragments) {
  Packet first4 = good(frames::bytes_of(frames::first_fragment4)),
         later4 = good(frames::bytes_of(frames::later_fragment4));
  EXPECT_TRUE(first4.meta().fragment && !first4.meta().later_fragment);
  EXPECT_EQ(first4.meta().source_port, 5353);
  EXPECT_TRUE(later4.meta().fragment && later4.meta().later_fragment);
  EXPECT_EQ(later4.meta().source_port, 0);
  expect(later4, L3::ip4, Protocol::udp, 14, 34, 34, 16);
  EXPECT_EQ(first4.meta().hash, later4.meta().hash) << "fragments of a packet meet";

  Packet first6 = good(frames::bytes_of(frames::first_fragment6)),
         later6 = good(frames::bytes_of(frames::later_fragment6));
  EXPECT_TRUE(first6.meta().fragment && !first6.meta().later_fragment);
  expect(later6, L3::ip6, Protocol::udp, 14, 62, 62, 16);
  EXPECT_EQ(first6.meta().hash, later6.meta().hash);

  Packet atomic = good(frames::bytes_of(frames::atomic_fragment6));  // RFC 6946
  EXPECT_FALSE(atomic.meta().fragment);
  EXPECT_TRUE(atomic.meta().l4_checksum_good);

  Frame beyond = frames::bytes_of(frames::later_fragment6);
  beyond[56] = 0xff, beyond[57] = 0xf8;  // offset 65528: the whole would be larger than a packet
  dies(beyond, Counter::drop_malformed);
}

TEST_F(ParseTest, HashIsTheSameBothWaysAndDiffersBetweenFlows) {
  Frame there = frames::bytes_of(frames::udp4), back = there, other = there;
  std::swap_ranges(back.begin() + 26, back.begin() + 30, back.begin() + 30);
  std::swap_ranges(back.begin() + 34, back.begin() + 36, back.begin() + 36);
  other[35] ^= 1;
  other[40] = other[41] = 0;
  const auto hash = good(there).meta().hash;
  EXPECT_EQ(good(back).meta().hash, hash);
  EXPECT_NE(good(other).meta().hash, hash);
}

TEST_F(ParseTest, CutsPaddingOff) {
  Frame padded = frames::bytes_of(frames::udp4);
  const std::size_t size = padded.size();
  padded.resize(60, 0xee);
  Packet p = good(padded);
  EXPECT_EQ(p.size(), size);
  EXPECT_EQ(p.bytes().size(), size);
  EXPECT_EQ(p.meta().payload_size, 3);
}

TEST_F(ParseTest, EveryTruncationDies) {
  for (std::string_view hex :
       {frames::tcp4, frames::tcp4_syn, frames::tcp6, frames::udp4, frames::udp6, frames::vlan_udp4,
        frames::options_udp4, frames::echo4, frames::echo6, frames::extensions_tcp6, frames::first_fragment6,
        frames::later_fragment4, frames::arp_request, frames::gre4}) {
    const Frame whole = frames::bytes_of(hex);
    for (std::size_t size = 0; size < whole.size(); ++size)
      dies(Frame(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)), Counter::drop_malformed);
  }
}

TEST_F(ParseTest, EveryFlippedBitOfWhatAChecksumCoversIsSeen) {
  for (std::string_view hex : {frames::tcp4, frames::udp4, frames::udp6, frames::tcp6, frames::echo4, frames::echo6}) {
    const Frame whole = frames::bytes_of(hex);
    const bool v4 = whole[12] == 0x08 && whole[13] == 0x00;
    const std::size_t checked_from = v4 ? 14 : 22;  // IPv6's first 8 bytes are covered only in part
    for (std::size_t bit = checked_from * 8; bit < whole.size() * 8; ++bit) {
      Frame bad = whole;
      bad[bit / 8] ^= static_cast<std::uint8_t>(0x80 >> bit % 8);
      Packet p = packet(bad);
      EXPECT_FALSE(parse(p, true, counters)) << "bit " << bit;
    }
  }
}

TEST_F(ParseTest, LyingLengthsDie) {
  Frame tcp = frames::bytes_of(frames::tcp4);
  for (std::uint8_t offset : {0, 1, 2, 3, 4, 7, 15}) {
    Frame bad = tcp;
    bad[46] = static_cast<std::uint8_t>(offset << 4);
    dies(bad, Counter::drop_malformed);
  }
  for (std::uint16_t length : {0, 7, 12, 65535}) {
    Frame bad = frames::bytes_of(frames::udp4);
    bad[38] = static_cast<std::uint8_t>(length >> 8), bad[39] = static_cast<std::uint8_t>(length);
    dies(bad, Counter::drop_malformed);
  }
  for (std::uint8_t version_ihl : {0x44, 0x40, 0x55, 0x65}) {
    Frame bad = tcp;
    bad[14] = version_ihl;
    dies(bad, Counter::drop_malformed);
  }
  Frame version5 = frames::bytes_of(frames::tcp6);
  version5[14] = 0x50;
  dies(version5, Counter::drop_malformed);
  Frame icmp_in_ip6 = frames::bytes_of(frames::echo6);
  icmp_in_ip6[20] = 1;
  dies(icmp_in_ip6, Counter::drop_malformed);
}

TEST_F(ParseTest, TrustsHardwareWhereItSpokeAndNobodyElseUnlessTold) {
  Frame wrong = frames::bytes_of(frames::tcp4);
  wrong.back() ^= 1;
  dies(wrong, Counter::drop_bad_checksum);
  Packet told = good(wrong, RTE_MBUF_F_RX_L4_CKSUM_GOOD);
  EXPECT_TRUE(told.meta().l4_checksum_good);
  Packet trusting = packet(wrong);
  EXPECT_TRUE(parse(trusting, false, counters));
  EXPECT_FALSE(trusting.meta().l4_checksum_good);
  Packet told_bad = packet(wrong, RTE_MBUF_F_RX_L4_CKSUM_BAD);
  EXPECT_FALSE(parse(told_bad, false, counters));
  Frame header = frames::bytes_of(frames::tcp4);
  header[24] ^= 1;
  dies(header, Counter::drop_bad_checksum);
  Frame udp6_without = frames::bytes_of(frames::udp6);
  udp6_without[60] = udp6_without[61] = 0;
  dies(udp6_without, Counter::drop_bad_checksum);  // RFC 8200 8.1
}

TEST_F(ParseTest, FillsWhatAVirtualLinkLeftToHardware) {
  for (std::string_view hex : {frames::tcp4, frames::udp6}) {
    const Frame whole = frames::bytes_of(hex);
    const std::size_t at = hex == frames::tcp4 ? 50 : 60;
    Frame partial = whole;
    partial[at] = 0x12, partial[at + 1] = 0x34;
    Packet p = good(partial, RTE_MBUF_F_RX_L4_CKSUM_NONE);
    EXPECT_TRUE(std::ranges::equal(p.bytes(), whole));
  }
}

TEST_F(ParseTest, SegmentsAreTakenWhenTheHeadersAreInTheFirst) {
  const Frame whole = frames::bytes_of(frames::tcp4);
  for (std::size_t cut = 1; cut < whole.size(); ++cut) {
    Packet first = packet(Frame(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(cut)));
    Packet second = packet(Frame(whole.begin() + static_cast<std::ptrdiff_t>(cut), whole.end()));
    first.get()->pkt_len = static_cast<std::uint32_t>(whole.size());
    first.get()->nb_segs = 2;
    first.get()->next = second.release();
    ASSERT_TRUE(parse(first, true, counters)) << cut;
    expect(first, L3::ip4, Protocol::tcp, 14, 34, 54, 5);
  }
}

TEST_F(ParseTest, PaddingInALaterSegmentGoes) {
  Frame whole = frames::bytes_of(frames::udp4);
  const std::size_t size = whole.size();
  whole.resize(size + 300, 0xee);
  whole.insert(whole.begin(), 0, 0);
  // A first segment of 256 bytes or more is left as it is.
  Packet first = packet(Frame(whole.begin(), whole.begin() + 300)),
         second = packet(Frame(whole.begin() + 300, whole.end()));
  first.get()->pkt_len = static_cast<std::uint32_t>(whole.size());
  first.get()->nb_segs = 2;
  first.get()->next = second.release();
  ASSERT_TRUE(parse(first, true, counters));
  EXPECT_EQ(first.size(), size);
  EXPECT_EQ(first.get()->nb_segs, 1);
}

TEST_F(ParseTest, ABurstKeepsItsOrderAndLosesOnlyTheBad) {
  std::vector<Packet> burst;
  for (unsigned i = 0; i < 32; ++i) {
    Frame frame = frames::bytes_of(i % 3 == 1 ? frames::udp6 : frames::tcp4);
    if (i % 5 == 0) frame.resize(20);
    burst.push_back(packet(frame));
    burst.back().meta().port = static_cast<PortId>(i);
  }
  const std::size_t kept = parse(burst, true, counters);
  ASSERT_EQ(kept, 25u);
  EXPECT_EQ(counters.get(Counter::drop_malformed), 7u);
  for (std::size_t i = 0; i + 1 < kept; ++i) EXPECT_LT(burst[i].meta().port, burst[i + 1].meta().port);
  for (std::size_t i = 0; i < kept; ++i) EXPECT_NE(burst[i].meta().port % 5, 0);
}

// -- runs of one flow -------------------------------------------------------------------------------------------------

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
