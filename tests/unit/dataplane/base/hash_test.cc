#include "dataplane/base/hash.h"

#include <gtest/gtest.h>

#include <set>

namespace sluice {
namespace {

TEST(Hash, Crc32cMatchesRfc3720AppendixB4) {
  std::array<std::uint8_t, 32> data{};
  EXPECT_EQ(crc32c(data), 0x8a9136aau) << "32 bytes of zeros";
  data.fill(0xff);
  EXPECT_EQ(crc32c(data), 0x62a8ab43u) << "32 bytes of ones";
  for (std::uint8_t i = 0; i < 32; ++i) data[i] = i;
  EXPECT_EQ(crc32c(data), 0x46dd794eu) << "32 incrementing bytes";
  EXPECT_EQ(crc32c(bytes("123456789")), 0xe3069283u);
  EXPECT_EQ(crc32c(bytes("6789"), crc32c(bytes("12345"))), 0xe3069283u) << "may be continued";
}

TEST(Hash, SipHashMatchesThePapersVector) {
  SipHash::Key key;
  std::array<std::uint8_t, 15> input;
  for (std::uint8_t i = 0; i < 16; ++i) key[i] = i;
  for (std::uint8_t i = 0; i < 15; ++i) input[i] = i;
  EXPECT_EQ(SipHash{key}(input), 0xa129ca6149be45e5u) << "appendix A of the paper";
  EXPECT_EQ(SipHash{key}({}), 0x726fdb47dd0e0e31u) << "first vector of the reference";
}

TEST(Hash, TupleHashIsSymmetricAndTellsTuplesApart) {
  const IpAddress client = *parse_ip("10.1.2.3"), service = *parse_ip("192.0.2.1"), six = *parse_ip("2001:db8::1");
  EXPECT_EQ(tuple_hash(client, 1234, service, 80, 6), tuple_hash(service, 80, client, 1234, 6));
  EXPECT_EQ(tuple_hash(client, 1234, six, 80, 17), tuple_hash(six, 80, client, 1234, 17));
  EXPECT_NE(tuple_hash(client, 1234, service, 80, 6), tuple_hash(client, 1234, service, 80, 17));
  EXPECT_NE(tuple_hash(client, 1234, service, 80, 6), tuple_hash(client, 80, service, 1234, 6));
  EXPECT_NE(tuple_hash(client, 7, client, 7, 6), tuple_hash(service, 7, service, 7, 6))
      << "equal ends must not cancel out";
}

TEST(Hash, TupleHashSpreadsPortsAndHostsEvenly) {
  const IpAddress service = *parse_ip("192.0.2.1");
  std::array<int, 16> low{}, high{};
  std::set<std::uint32_t> distinct;
  for (std::uint32_t host = 0; host < 64; ++host)
    for (std::uint16_t port = 0; port < 1024; ++port) {
      const auto hash = tuple_hash(IpAddress::from_v4(0x0a000000 + host), 1024 + port, service, 443, 6);
      ++low[hash & 15];
      ++high[hash >> 28];
      distinct.insert(hash);
    }
  for (int count : low) EXPECT_NEAR(count, 4096, 410);
  for (int count : high) EXPECT_NEAR(count, 4096, 410);
  EXPECT_GT(distinct.size(), 65536u - 16) << "65536 keys in 32 bits: one collision in two is what chance gives";
}

}  // namespace
}  // namespace sluice
