#include "l4/prefix_ports.h"

#include <gtest/gtest.h>

#include "dataplane/base/rng.h"

namespace sluice {
namespace {

using Rule = PrefixPorts::Rule;

Rule rule(const char* prefix, std::uint16_t first, std::uint16_t last, std::uint32_t value, PortId ingress = no_port,
          Protocol protocol = Protocol::tcp) {
  return {*parse_prefix(prefix), {first, last}, protocol, ingress, value};
}

int find(const PrefixPorts& table, const char* address, std::uint16_t port, PortId ingress = 0,
         Protocol protocol = Protocol::tcp) {
  PrefixPorts::Match match;
  return table.find(*parse_ip(address), port, protocol, ingress, match) ? static_cast<int>(match.value) : -1;
}

TEST(PrefixPorts, LongestPrefixThenNarrowestRangeThenIngress) {
  const Rule rules[] = {
      rule("0.0.0.0/0", 80, 80, 1),
      rule("10.0.0.0/8", 1, 100, 2),
      rule("10.0.0.0/8", 50, 90, 3),
      rule("10.0.0.0/8", 80, 80, 4),
      rule("10.0.0.0/8", 80, 80, 5, 7),
      rule("10.1.0.0/16", 0, 65535, 6),
      rule("::/0", 80, 80, 7),
      rule("2001:db8::/32", 0, 65535, 8),
      rule("0.0.0.0/0", 53, 53, 9, no_port, Protocol::udp),
  };
  const auto table = PrefixPorts::compile(rules);
  ASSERT_TRUE(table);
  EXPECT_EQ(find(*table, "192.0.2.1", 80), 1);
  EXPECT_EQ(find(*table, "192.0.2.1", 81), -1);
  EXPECT_EQ(find(*table, "10.9.9.9", 10), 2);
  EXPECT_EQ(find(*table, "10.9.9.9", 60), 3) << "of two ranges of one prefix the narrower";
  EXPECT_EQ(find(*table, "10.9.9.9", 80), 4);
  EXPECT_EQ(find(*table, "10.9.9.9", 80, 7), 5) << "one ingress port before any";
  EXPECT_EQ(find(*table, "10.1.2.3", 80, 7), 6) << "a longer prefix with any port before a shorter one with this port";
  EXPECT_EQ(find(*table, "10.9.9.9", 101), -1);
  EXPECT_EQ(find(*table, "2001:db8::1", 80), 8);
  EXPECT_EQ(find(*table, "2001:db9::1", 80), 7);
  EXPECT_EQ(find(*table, "192.0.2.1", 53), -1);
  EXPECT_EQ(find(*table, "192.0.2.1", 53, 0, Protocol::udp), 9);
}

TEST(PrefixPorts, AnIpv6PrefixNeverTakesIpv4) {
  const Rule rules[] = {rule("::/0", 0, 65535, 1)};
  const auto table = PrefixPorts::compile(rules);
  EXPECT_EQ(find(*table, "10.0.0.1", 80), -1);
  EXPECT_EQ(find(*table, "2001:db8::1", 80), 1);
}

TEST(PrefixPorts, RulesThatAskForTheSamePacketsConflict) {
  const Rule rules[] = {rule("10.0.0.0/8", 80, 80, 1), rule("11.0.0.0/8", 80, 80, 1), rule("10.7.7.7/8", 80, 80, 2)};
  const auto table = PrefixPorts::compile(rules);
  ASSERT_FALSE(table);
  EXPECT_EQ(table.error().first, 0u);
  EXPECT_EQ(table.error().second, 2u);
  const Rule empty[] = {rule("10.0.0.0/8", 81, 80, 1)};
  EXPECT_FALSE(PrefixPorts::compile(empty));
}

TEST(PrefixPorts, NothingMatchesWhereThereIsNothing) {
  EXPECT_EQ(find(PrefixPorts{}, "10.0.0.1", 80), -1);
  EXPECT_EQ(find(*PrefixPorts::compile({}), "10.0.0.1", 80), -1);
}

// Against the definition, done the slow way.
TEST(PrefixPorts, AgreesWithALinearSearch) {
  Rng rng{7};
  for (int round = 0; round < 50; ++round) {
    std::vector<Rule> rules;
    for (int i = 0; i < 60; ++i) {
      const bool v4 = rng.below(2);
      Rule r;
      r.destination.address = v4 ? IpAddress::from_v4(0x0a000000 + rng.below(16)) : *parse_ip("2001:db8::");
      if (!v4) r.destination.address.bytes[15] = static_cast<std::uint8_t>(rng.below(16));
      r.destination.length = static_cast<std::uint8_t>(v4 ? 28 + rng.below(5) : 124 + rng.below(5));
      r.ports.first = static_cast<std::uint16_t>(rng.below(8));
      r.ports.last = static_cast<std::uint16_t>(r.ports.first + rng.below(4));
      r.ingress = rng.below(3) ? no_port : static_cast<PortId>(rng.below(2));
      r.value = static_cast<std::uint32_t>(i);
      rules.push_back(r);
      if (!PrefixPorts::compile(rules)) rules.pop_back();
    }
    const auto table = PrefixPorts::compile(rules);
    ASSERT_TRUE(table);
    for (int i = 0; i < 400; ++i) {
      const bool v4 = rng.below(2);
      IpAddress address = v4 ? IpAddress::from_v4(0x0a000000 + rng.below(20)) : *parse_ip("2001:db8::");
      if (!v4) address.bytes[15] = static_cast<std::uint8_t>(rng.below(20));
      const auto port = static_cast<std::uint16_t>(rng.below(12));
      const auto ingress = static_cast<PortId>(rng.below(3));
      const Rule* best = nullptr;
      const auto rank = [](const Rule& r) {
        return std::tuple{-int{r.destination.length}, r.ports.width(), r.ports.first, r.ingress};
      };
      for (const Rule& r : rules) {
        const bool hit =
            r.destination.contains(address) && r.ports.contains(port) && (r.ingress == no_port || r.ingress == ingress);
        if (hit && (!best || rank(r) < rank(*best))) best = &r;
      }
      PrefixPorts::Match match;
      const bool found = table->find(address, port, Protocol::tcp, ingress, match);
      ASSERT_EQ(found, best != nullptr);
      if (found) { ASSERT_EQ(match.value, best->value); }
    }
  }
}

}  // namespace
}  // namespace sluice
