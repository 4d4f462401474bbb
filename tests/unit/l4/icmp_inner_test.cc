#include "l4/icmp_inner.h"

#include "tests/unit/l4/text_packets.h"

namespace sluice {
namespace {

using test::TextPackets;

TEST(IcmpInner, OnlyErrorsQuote) {
  TextPackets packets;
  EXPECT_FALSE(is_icmp_error(packets.ip("ip4 10.0.0.1 > 10.0.0.2 | icmp 8 0 rest=00010001 | text ping")));
  EXPECT_FALSE(is_icmp_error(packets.ip("ip6 fe80::1 > fe80::2 hops=255 | icmp6 128 0 | text ping")));
  EXPECT_FALSE(is_icmp_error(packets.ip("ip4 10.0.0.1 > 10.0.0.2 | tcp 3 > 4 S")));
  EXPECT_TRUE(is_icmp_error(packets.ip("ip4 10.0.0.1 > 10.0.0.2 | icmp 3 1 | ip4 10.0.0.2 > 10.0.0.1 | udp 5 > 6")));
}

// RFC 792: the quote is the IP header and 64 bits of data; not one bit less is believed.
TEST(IcmpInner, ReadsEightBytesOfTransportAndNoLess) {
  TextPackets packets;
  const std::string head =
      "ip4 10.0.0.1 > 10.0.0.2 | icmp 3 1 | hex 450000540000000040060000"
      "0a0000020a000001";
  const auto inner = icmp_inner(packets.ip(head + "1234005000000001"));
  ASSERT_TRUE(inner);
  EXPECT_EQ(inner->key.source, *parse_ip("10.0.0.2"));
  EXPECT_EQ(inner->key.destination, *parse_ip("10.0.0.1"));
  EXPECT_EQ(inner->key.source_port, 0x1234);
  EXPECT_EQ(inner->key.destination_port, 80);
  EXPECT_EQ(inner->key.protocol, Protocol::tcp);
  EXPECT_EQ(inner->size, 8);
  EXPECT_FALSE(icmp_inner(packets.ip(head + "12340050000000")));
  EXPECT_FALSE(icmp_inner(packets.ip(head)));
  EXPECT_FALSE(icmp_inner(packets.ip("ip4 10.0.0.1 > 10.0.0.2 | icmp 3 1")));
}

TEST(IcmpInner, LaterFragmentsAndOddHeadersGiveNothing) {
  TextPackets packets;
  EXPECT_FALSE(icmp_inner(packets.ip(
      "ip4 10.0.0.1 > 10.0.0.2 | icmp 11 1 | ip4 10.0.0.2 > 10.0.0.1 offset=8 protocol=17 | hex 0102030405060708")));
  EXPECT_FALSE(icmp_inner(
      packets.ip("ip4 10.0.0.1 > 10.0.0.2 | icmp 3 1 | hex 6500005400000000400600000a0000020a0000011234005000000001")));
  EXPECT_FALSE(icmp_inner(
      packets.ip("ip4 10.0.0.1 > 10.0.0.2 | icmp 3 1 | hex 4400005400000000400600000a0000020a0000011234005000000001")));
  EXPECT_FALSE(icmp_inner(
      packets.ip("ip4 10.0.0.1 > 10.0.0.2 | icmp 3 1 | hex 4500005400000000402f00000a0000020a0000011234005000000001")));
}

}  // namespace
}  // namespace sluice
