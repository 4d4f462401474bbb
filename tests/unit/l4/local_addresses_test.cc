#include "l4/local_addresses.h"

#include <gtest/gtest.h>

#include <set>

namespace sluice {
namespace {

// Every port of a range belongs to exactly one worker, which is the one that its bits name.
TEST(LocalAddresses, WorkersShareARangeWithoutOverlap) {
  for (unsigned workers : {1u, 2u, 3u, 4u, 5u, 8u}) {
    const PortRange range{1001, 1100};
    std::set<std::uint16_t> seen;
    for (unsigned worker = 0; worker < workers; ++worker) {
      const WorkerPorts ports{range, worker, workers};
      for (std::uint32_t i = 0; i < ports.size(); ++i) {
        EXPECT_TRUE(range.contains(ports[i]));
        EXPECT_EQ(owner_of_port(ports[i], workers), worker);
        EXPECT_TRUE(seen.insert(ports[i]).second);
      }
    }
    if ((workers & (workers - 1)) == 0) {
      EXPECT_EQ(seen.size(), range.width()) << "no port is lost with a power of two";
    }
  }
  EXPECT_EQ((WorkerPorts{{65535, 65535}, 0, 2}).size(), 0u);
  EXPECT_EQ((WorkerPorts{{65535, 65535}, 1, 2}).size(), 1u);
  EXPECT_EQ((WorkerPorts{{0, 65535}, 0, 1}).size(), 65536u);
}

TEST(LocalAddresses, KnowsTheUseOfEachPort) {
  const IpAddress shared = *parse_ip("192.0.2.1"), pool = *parse_ip("2001:db8::5"), host = *parse_ip("192.0.2.2");
  const LocalRange ranges[] = {{shared, {20000, 29999}, LocalUse::upstream},
                               {shared, {30000, 39999}, LocalUse::snat},
                               {pool, {0, 65535}, LocalUse::snat}};
  const IpAddress hosts[] = {host, shared, host};
  const auto local = LocalAddresses::compile(hosts, ranges);
  ASSERT_TRUE(local);
  EXPECT_EQ(local->find(shared, 20000), LocalUse::upstream);
  EXPECT_EQ(local->find(shared, 39999), LocalUse::snat);
  EXPECT_EQ(local->find(shared, 40000), LocalUse::host);
  EXPECT_EQ(local->find(host, 30000), LocalUse::host);
  EXPECT_EQ(local->find(pool, 1), LocalUse::snat);
  EXPECT_EQ(local->find(*parse_ip("192.0.2.3"), 30000), std::nullopt);
}

TEST(LocalAddresses, OverlappingRangesOfOneAddressConflict) {
  const IpAddress a = *parse_ip("192.0.2.1");
  const LocalRange ranges[] = {
      {a, {100, 200}, LocalUse::snat}, {a, {201, 300}, LocalUse::snat}, {a, {200, 205}, LocalUse::upstream}};
  EXPECT_TRUE(LocalAddresses::compile({}, std::span{ranges}.first(2)));
  const auto refused = LocalAddresses::compile({}, ranges);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().first, 0u);
  EXPECT_EQ(refused.error().second, 2u);
}

}  // namespace
}  // namespace sluice
