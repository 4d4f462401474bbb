#include "l4/flow_key.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/l4/text_packets.h"

namespace sluice {
namespace {

FlowKey key() { return {*parse_ip("10.0.0.1"), *parse_ip("192.0.2.10"), 1234, 80, Protocol::tcp, 0, 0}; }

TEST(FlowKey, OfAPacketNamesItsEndsInBothFamilies) {
  test::TextPackets packets;
  EXPECT_TRUE(flow_key(packets.ip("ip4 10.0.0.1 > 192.0.2.10 | tcp 1234 > 80 S")) == key());
  const FlowKey six{*parse_ip("2001:db8::1"), *parse_ip("2001:db8::1:2"), 53, 65535, Protocol::udp, 0, 0};
  EXPECT_TRUE(flow_key(packets.ip("ip6 2001:db8::1 > 2001:db8::1:2 | udp 53 > 65535")) == six);
  EXPECT_TRUE(six.destination != six.source && six.reversed().source == six.destination);
}

TEST(FlowKey, ReversingTwiceIsTheSame) {
  EXPECT_EQ(key().reversed().reversed(), key());
  EXPECT_EQ(key().reversed().source, key().destination);
  EXPECT_EQ(key().reversed().destination_port, 1234);
}

TEST(FlowKey, EveryFieldCountsInTheHash) {
  const FlowHash hash;
  std::set<std::uint64_t> seen{hash(key())};
  for (std::size_t byte = 0; byte < sizeof(FlowKey); ++byte) {
    for (int bit = 0; bit < 8; ++bit) {
      FlowKey other = key();
      reinterpret_cast<std::uint8_t*>(&other)[byte] ^= static_cast<std::uint8_t>(1 << bit);
      EXPECT_TRUE(seen.insert(hash(other)).second) << "byte " << byte << " bit " << bit;
    }
  }
  EXPECT_NE((FlowHash{1, 2}(key())), hash(key())) << "the seeds count as well";
}

// Keys as an address scan makes them must spread: no bucket of 256 has more than twice its share of 64 k keys.
TEST(FlowKey, NeighbouringKeysSpread) {
  for (const unsigned shift : {0u, 32u, 56u}) {
    unsigned counts[256] = {};
    for (unsigned a = 0; a < 256; ++a) {
      for (unsigned port = 0; port < 256; ++port) {
        FlowKey k = key();
        k.source = IpAddress::from_v4(0x0a000000 + a);
        k.source_port = static_cast<std::uint16_t>(port);
        ++counts[FlowHash{}(k) >> shift & 0xff];
      }
    }
    for (const unsigned count : counts) {
      EXPECT_LT(count, 512u);
      EXPECT_GT(count, 128u);
    }
  }
}

}  // namespace
}  // namespace sluice
