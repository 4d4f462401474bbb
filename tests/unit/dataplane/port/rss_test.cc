#include "dataplane/port/rss.h"

#include <gtest/gtest.h>
#include <rte_thash.h>

namespace sluice {
namespace {

// DPDK's own software Toeplitz is the independent peer.
std::uint32_t dpdk_hash(const IpAddress& source, std::uint16_t source_port, const IpAddress& destination,
                        std::uint16_t destination_port) {
  const auto key = rss_key(Rss::key_size);
  std::vector<std::uint8_t> tuple;
  for (const IpAddress* address : {&source, &destination})
    tuple.insert(tuple.end(), address->wire().begin(), address->wire().end());
  for (std::uint16_t port : {source_port, destination_port}) {
    tuple.push_back(static_cast<std::uint8_t>(port >> 8));
    tuple.push_back(static_cast<std::uint8_t>(port));
  }
  std::vector<std::uint32_t> words;
  for (std::size_t i = 0; i < tuple.size(); i += 4)
    words.push_back(std::uint32_t{tuple[i]} << 24 | tuple[i + 1] << 16 | tuple[i + 2] << 8 | tuple[i + 3]);
  return rte_softrss(words.data(), static_cast<std::uint32_t>(words.size()), key.data());
}

TEST(Rss, HashesAsDpdkDoesInBothFamiliesAndDirections) {
  const Rss rss{{0, 1, 2, 3}};
  const IpAddress a = *parse_ip("66.9.149.187"), b = *parse_ip("161.142.100.80");
  const IpAddress c = *parse_ip("3ffe:2501:200:1fff::7"), d = *parse_ip("3ffe:2501:200:3::1");
  EXPECT_EQ(rss.hash(a, 2794, b, 1766), dpdk_hash(a, 2794, b, 1766));
  EXPECT_EQ(rss.hash(c, 2794, d, 1766), dpdk_hash(c, 2794, d, 1766));
  EXPECT_EQ(rss.hash(a, 2794, b, 1766), rss.hash(b, 1766, a, 2794));
  EXPECT_NE(rss.hash(a, 2794, b, 1766), rss.hash(a, 2795, b, 1766));
}

TEST(Rss, LocalPortsAreFoundWhoseRepliesComeHome) {
  std::vector<std::uint16_t> table(128);
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = static_cast<std::uint16_t>(i % 4);
  const Rss rss{table};
  const IpAddress local = *parse_ip("10.0.0.1");
  for (std::uint32_t host = 1; host < 200; ++host) {
    const IpAddress remote = IpAddress::from_v4(0x0a010000 + host * 77);
    for (std::uint16_t wanted = 0; wanted < 4; ++wanted) {
      const auto port = rss.choose_local_port(local, remote, 8080, wanted, 1024, 1, 512);
      ASSERT_TRUE(port);
      EXPECT_EQ(table[dpdk_hash(remote, 8080, local, *port) % table.size()], wanted);
    }
  }
  EXPECT_FALSE(rss.choose_local_port(local, local, 80, 9, 60000, 1, 100000)) << "no such queue";
}

}  // namespace
}  // namespace sluice
