#include "dataplane/packet/parse.h"

#include "tests/support/frames.h"
#include "tests/unit/dataplane/packet/parse_script.h"

namespace sluice {
namespace {

namespace frames = test::frames;

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

}  // namespace
}  // namespace sluice
