#include "dataplane/net/routes.h"

#include <gtest/gtest.h>

#include "dataplane/base/rng.h"

namespace sluice {
namespace {

IpAddress ip(std::string_view text) { return *parse_ip(text); }
Prefix prefix(std::string_view text) { return *parse_prefix(text); }

Interface interface(PortId port, std::uint16_t vlan, std::vector<Prefix> addresses) {
  return {.port = port,
          .vlan = vlan,
          .mac = {{2, 0, 0, 0, 0, static_cast<std::uint8_t>(port + 1)}},
          .addresses = std::move(addresses)};
}

TEST(Routes, LongestPrefixWinsInEachFamily) {
  const auto routes = Routes::compile(
      {interface(0, 0, {prefix("192.0.2.1/24"), prefix("2001:db8::1/64")}), interface(1, 7, {prefix("10.0.0.1/8")})},
      {{prefix("0.0.0.0/0"), ip("192.0.2.254")},
       {prefix("198.51.100.0/24"), ip("10.9.9.9")},
       {prefix("198.51.100.128/25"), ip("192.0.2.253")},
       {prefix("2001:db8:1::/48"), ip("2001:db8::fe")}});
  ASSERT_TRUE(routes.has_value()) << routes.error();
  const auto expect = [&](std::string_view to, InterfaceId interface, std::string_view gateway) {
    const Routes::Hop hop = routes->find(ip(to));
    EXPECT_EQ(hop.interface, interface) << to;
    EXPECT_EQ(hop.gateway, gateway.empty() ? IpAddress{} : ip(gateway)) << to;
  };
  expect("192.0.2.77", 0, "");
  expect("10.200.3.4", 1, "");
  expect("203.0.113.1", 0, "192.0.2.254");
  expect("198.51.100.127", 1, "10.9.9.9");
  expect("198.51.100.128", 0, "192.0.2.253");
  expect("2001:db8::99", 0, "");
  expect("2001:db8:1:2::3", 0, "2001:db8::fe");
  expect("2001:db8:2::1", no_interface, "");
  expect("fe80::1", no_interface, "");
  expect("224.0.0.1", no_interface, "");
}

TEST(Routes, Ip6DefaultDoesNotTakeIp4) {
  const auto routes =
      Routes::compile({interface(0, 0, {prefix("2001:db8::1/64")})}, {{prefix("::/0"), ip("2001:db8::fe")}});
  ASSERT_TRUE(routes.has_value());
  EXPECT_EQ(routes->find(ip("192.0.2.1")).interface, no_interface);
  EXPECT_EQ(routes->find(ip("2600::1")).interface, 0);
}

TEST(Routes, EqualsALinearSearch) {
  Rng rng{4};
  std::vector<StaticRoute> statics;
  for (std::uint8_t i = 0; i < 200; ++i) {
    const auto length = static_cast<std::uint8_t>(9 + rng.below(24));
    statics.push_back({Prefix{IpAddress::from_v4(10u << 24 | (rng.below(1 << 24) & 0xf0f0f0)), length}.masked(),
                       IpAddress::from_v4(192u << 24 | 2 << 8 | (2 + i))});
  }
  const auto routes = Routes::compile({interface(0, 0, {prefix("192.0.2.1/24")})}, statics);
  ASSERT_TRUE(routes.has_value()) << routes.error();
  for (int round = 0; round < 20000; ++round) {
    const IpAddress to = IpAddress::from_v4(10u << 24 | (rng.below(1 << 24) & 0xf3f3f3));
    const StaticRoute* best = nullptr;
    for (const StaticRoute& route : statics)
      if (route.destination.contains(to) && (!best || route.destination.length > best->destination.length))
        best = &route;
    const Routes::Hop hop = routes->find(to);
    ASSERT_EQ(hop.gateway, best ? best->gateway : IpAddress{}) << to_text(to).view();
  }
}

TEST(Routes, NamesWhatIsWrong) {
  const auto error = [](std::vector<Interface> interfaces, std::vector<StaticRoute> statics) {
    const auto routes = Routes::compile(std::move(interfaces), std::move(statics));
    return routes ? std::string{} : routes.error();
  };
  const Interface good = interface(0, 0, {prefix("192.0.2.1/24")});
  EXPECT_EQ(error({good}, {{prefix("0.0.0.0/0"), ip("10.0.0.1")}}), "route 0: its gateway is on no interface's prefix");
  EXPECT_EQ(error({good}, {{prefix("::/0"), ip("192.0.2.2")}}), "route 0: destination and gateway are of two families");
  EXPECT_EQ(error({good, good}, {}), "interface 1: its port and VLAN belong to another already");
  Interface no_mac = good;
  no_mac.mac = {};
  EXPECT_EQ(error({no_mac}, {}), "interface 0: its MAC address is no station's");
  EXPECT_EQ(error({interface(0, 4095, {})}, {}), "interface 0: its VLAN id is above 4094");
  EXPECT_EQ(error({interface(0, 0, {prefix("224.0.0.1/24")})}, {}), "interface 0: an address is no host's");
}

TEST(Routes, KnowsInterfacesAndTheirAddresses) {
  const auto routes =
      Routes::compile({interface(3, 0, {prefix("192.0.2.1/24"), prefix("10.0.0.1/8"), prefix("2001:db8::1/64")}),
                       interface(3, 9, {prefix("192.0.3.1/24")})},
                      {});
  ASSERT_TRUE(routes.has_value());
  EXPECT_EQ(routes->on(3, 0), 0);
  EXPECT_EQ(routes->on(3, 9), 1);
  EXPECT_EQ(routes->on(3, 8), no_interface);
  EXPECT_EQ(routes->on(0, 0), no_interface);
  EXPECT_TRUE(routes->owns(ip("192.0.3.1")));
  EXPECT_FALSE(routes->owns(ip("192.0.3.2")));
  // RFC 4291 appendix A: the universal bit is turned over, ff:fe stands in the middle.
  EXPECT_EQ(routes->link_local(0), ip("fe80::ff:fe00:4"));
  EXPECT_TRUE(routes->owns(ip("fe80::ff:fe00:4")));
  EXPECT_EQ(routes->source(0, ip("10.1.1.1")), ip("10.0.0.1"));
  EXPECT_EQ(routes->source(0, ip("203.0.113.1")), ip("192.0.2.1"));
  EXPECT_EQ(routes->source(0, ip("2001:db8::2")), ip("2001:db8::1"));
  EXPECT_EQ(routes->source(0, ip("fe80::5")), ip("fe80::ff:fe00:4"));
  EXPECT_EQ(routes->source(1, ip("2001:db8::2")), IpAddress{});
}

TEST(AddressSet, HoldsWhatItsPrefixesHold) {
  const AddressSet set{{prefix("198.51.100.7/32"), prefix("10.0.0.0/8"), prefix("10.1.0.0/16"),
                        prefix("2001:db8:5::/64"), prefix("203.0.113.9/32")}};
  for (auto in : {"198.51.100.7", "10.0.0.0", "10.1.2.3", "10.2.0.0", "10.255.255.255", "2001:db8:5::1", "203.0.113.9"})
    EXPECT_TRUE(set.contains(ip(in))) << in;
  for (auto out : {"198.51.100.6", "198.51.100.8", "9.255.255.255", "11.0.0.0", "2001:db8:5:1::", "::", "0.0.0.0"})
    EXPECT_FALSE(set.contains(ip(out))) << out;
  EXPECT_FALSE(AddressSet{}.contains(ip("10.0.0.1")));
  EXPECT_FALSE(AddressSet{{prefix("::/0")}}.contains(ip("10.0.0.1")));
  EXPECT_TRUE(AddressSet{{prefix("0.0.0.0/0")}}.contains(ip("10.0.0.1")));
}

}  // namespace
}  // namespace sluice
