#include "dataplane/net/neighbours.h"

#include <gtest/gtest.h>

#include <optional>

#include "dataplane/packet/buffers.h"

namespace sluice {
namespace {

using namespace literals;
using State = Neighbours::State;

IpAddress host(std::uint32_t n) { return IpAddress::from_v4((10u << 24) + n); }
constexpr MacAddress mac{{2, 0, 0, 0, 0, 9}}, other_mac{{2, 0, 0, 0, 0, 10}};

struct NeighboursTest : testing::Test {
  Buffers buffers{"neighbours_test", 127, 63, 0, -1};
  Counters counters;
  NeighbourLimits limits{.capacity = 64, .resolutions_per_second = 10, .resolutions_burst = 5};
  std::optional<Neighbours> table{std::in_place, limits, counters};

  void TearDown() override {
    table.reset();
    EXPECT_EQ(buffers.data_free(), 127u) << "a waiting packet is lost";
  }
  void rebuild() { table.emplace(limits, counters); }
  std::vector<Neighbours::Solicit> due(Nanos now) {
    std::array<Neighbours::Solicit, 64> out;
    const std::size_t n = table->due(out, now);
    return {out.begin(), out.begin() + static_cast<std::ptrdiff_t>(n)};
  }
  Neighbours::Neighbour& resolved(std::uint32_t n, Nanos now) {
    Neighbours::Neighbour* made = table->find_or_make(0, host(n), now);
    EXPECT_TRUE(made);
    return *table->apply({.address = host(n), .mac = mac, .interface = 0, .kind = NeighbourNews::Kind::reply}, now);
  }
};

TEST_F(NeighboursTest, AsksThreeTimesThenGivesUp) {
  Neighbours::Neighbour* neighbour = table->find_or_make(0, host(1), 0_s);
  ASSERT_TRUE(neighbour);
  EXPECT_TRUE(table->used(*neighbour, 0_s));
  EXPECT_FALSE(table->solicit(*neighbour).unicast);
  EXPECT_FALSE(table->used(*neighbour, 500_ms)) << "one request a second, however many packets";
  table->wait(*neighbour, buffers.make());
  EXPECT_EQ(due(999_ms).size(), 0u);
  EXPECT_EQ(due(1_s).size(), 1u);
  EXPECT_EQ(due(2_s).size(), 1u);
  EXPECT_EQ(table->size(), 1u);
  EXPECT_EQ(due(3_s).size(), 0u);
  EXPECT_EQ(table->size(), 0u);
  EXPECT_EQ(table->unresolved(), 0u);
  EXPECT_EQ(counters.get(Counter::neighbours_failed), 1u);
  EXPECT_EQ(counters.get(Counter::drop_no_neighbour), 1u);
}

TEST_F(NeighboursTest, ReachableGoesStaleAndIsProbedWhenUsed) {
  Neighbours::Neighbour& neighbour = resolved(1, 0_s);
  EXPECT_EQ(neighbour.state, State::reachable);
  EXPECT_EQ(table->unresolved(), 0u);
  EXPECT_FALSE(table->used(neighbour, 29_s));
  due(30_s);
  EXPECT_EQ(neighbour.state, State::stale);
  EXPECT_EQ(due(100_s).size(), 0u) << "nobody uses it: no request";
  EXPECT_TRUE(table->used(neighbour, 100_s));
  EXPECT_EQ(neighbour.state, State::probe);
  EXPECT_TRUE(neighbour.usable()) << "packets go out meanwhile";
  const auto solicit = table->solicit(neighbour);
  EXPECT_TRUE(solicit.unicast);
  EXPECT_EQ(solicit.mac, mac);
  table->apply({.address = host(1), .mac = mac, .interface = 0, .kind = NeighbourNews::Kind::reply}, 100_s + 1_ms);
  EXPECT_EQ(neighbour.state, State::reachable);
  EXPECT_TRUE(table->used(neighbour, 131_s)) << "late, and due() has not come by";
}

TEST_F(NeighboursTest, SilentToProbesItIsForgotten) {
  Neighbours::Neighbour& neighbour = resolved(1, 0_s);
  EXPECT_TRUE(table->used(neighbour, 40_s));
  EXPECT_EQ(due(41_s).size(), 1u);
  EXPECT_EQ(due(42_s).size(), 1u);
  due(43_s);
  EXPECT_EQ(table->find(0, host(1)), nullptr);
}

TEST_F(NeighboursTest, TcpsProgressIsProof) {
  Neighbours::Neighbour& neighbour = resolved(1, 0_s);
  for (int second = 10; second < 200; second += 10) {
    table->confirm(neighbour, 1_s * second);
    EXPECT_FALSE(table->used(neighbour, 1_s * second + 9_s));
  }
}

TEST_F(NeighboursTest, EvidenceMakesNoNeighbourUnlessItAskedUs) {
  for (auto kind : {NeighbourNews::Kind::reply, NeighbourNews::Kind::announcement})
    EXPECT_FALSE(table->apply({.address = host(1), .mac = mac, .interface = 0, .kind = kind}, 0_s));
  EXPECT_EQ(table->size(), 0u);
  Neighbours::Neighbour* asked =
      table->apply({.address = host(1), .mac = mac, .interface = 0, .kind = NeighbourNews::Kind::request}, 0_s);
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->state, State::stale);
  EXPECT_EQ(table->find(1, host(1)), nullptr) << "another link, another neighbour";
}

// RFC 4861 7.2.5.
TEST_F(NeighboursTest, WhatDoesNotReplaceOnlyCastsDoubt) {
  Neighbours::Neighbour& neighbour = resolved(1, 0_s);
  NeighbourNews news{
      .address = host(1), .mac = other_mac, .interface = 0, .kind = NeighbourNews::Kind::reply, .replaces = false};
  table->apply(news, 1_s);
  EXPECT_EQ(neighbour.mac, mac);
  EXPECT_EQ(neighbour.state, State::stale);
  news.replaces = true;
  news.kind = NeighbourNews::Kind::announcement;
  table->apply(news, 2_s);
  EXPECT_EQ(neighbour.mac, other_mac);
  EXPECT_EQ(neighbour.state, State::stale);
}

TEST_F(NeighboursTest, FewPacketsWaitAndTheOldestGives) {
  Neighbours::Neighbour* neighbour = table->find_or_make(0, host(1), 0_s);
  for (std::uint8_t i = 0; i < 10; ++i) {
    Packet packet = buffers.make();
    packet.meta().owner = i;
    table->wait(*neighbour, std::move(packet));
  }
  EXPECT_EQ(counters.get(Counter::drop_neighbour_queue), 10 - Neighbours::packets_per_neighbour);
  for (std::uint16_t i = 10 - Neighbours::packets_per_neighbour; i < 10; ++i) {
    Packet packet = table->take_waiting(*neighbour);
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet.meta().owner, i);
  }
  EXPECT_FALSE(table->take_waiting(*neighbour));
}

TEST_F(NeighboursTest, NewResolutionsAreLimitedByRate) {
  unsigned made = 0;
  for (std::uint32_t n = 0; n < 100; ++n) made += table->find_or_make(0, host(n), 1_s) != nullptr;
  EXPECT_EQ(made, 5u);
  EXPECT_TRUE(table->find_or_make(0, host(0), 1_s)) << "known ones are not new";
  for (std::uint32_t n = 100; n < 200; ++n)
    made += table->find_or_make(0, host(n), 1_s + 10_ms * static_cast<int>(n - 99)) != nullptr;
  EXPECT_EQ(made, 5u + 10u) << "ten in the second that followed";
}

// "A scan of an empty subnet must not starve live neighbours."
TEST_F(NeighboursTest, AScanTakesNoPlaceFromTheLiving) {
  limits.resolutions_per_second = 1'000'000;
  limits.resolutions_burst = 1'000'000;
  rebuild();
  for (std::uint32_t n = 0; n < 48; ++n) resolved(n, 0_s);
  for (std::uint32_t n = 1000; n < 3000; ++n) {
    Neighbours::Neighbour* scanned = table->find_or_make(0, host(n), 1_s);
    if (scanned) table->used(*scanned, 1_s);
    ASSERT_LE(table->unresolved(), 16u);
  }
  for (std::uint32_t n = 0; n < 48; ++n) {
    Neighbours::Neighbour* living = table->find(0, host(n));
    ASSERT_TRUE(living) << n;
    EXPECT_EQ(living->state, State::reachable);
  }
  // And a newcomer among the scanned still finds a place.
  resolved(500, 1_s);
  EXPECT_EQ(table->find(0, host(500))->state, State::reachable);
}

TEST_F(NeighboursTest, AFullTableGivesUpTheStaleOnly) {
  limits = {.capacity = 8, .resolutions_per_second = 1000, .resolutions_burst = 1000};
  rebuild();
  for (std::uint32_t n = 0; n < 8; ++n) resolved(n, 0_s);
  EXPECT_FALSE(table->find_or_make(0, host(100), 1_s)) << "all are in use";
  NeighbourNews changed{.address = host(3), .mac = other_mac, .interface = 0};
  table->apply(changed, 1_s);
  EXPECT_TRUE(table->find_or_make(0, host(100), 1_s));
  EXPECT_FALSE(table->find(0, host(3)));
  EXPECT_EQ(counters.get(Counter::neighbours_evicted), 1u);
}

TEST_F(NeighboursTest, AGatewayIsAskedForForEver) {
  table->pin(0, host(254), 0_s);
  unsigned requests = 0;
  for (int ms = 0; ms < 60'000; ms += 100)
    for (const auto& solicit : due(1_ms * ms)) requests += solicit.address == host(254);
  EXPECT_GE(requests, 40u);
  EXPECT_LE(requests, 61u);
  NeighbourNews reply{.address = host(254), .mac = mac, .interface = 0, .kind = NeighbourNews::Kind::reply};
  table->apply(reply, 60_s);
  // Unused, it is probed when its time is over, so that its MAC is at hand when traffic comes.
  EXPECT_EQ(due(60_s).size(), 0u);
  const auto probes = due(91_s);
  ASSERT_EQ(probes.size(), 1u);
  EXPECT_TRUE(probes[0].unicast);
}

}  // namespace
}  // namespace sluice
