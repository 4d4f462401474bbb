#include "l4/service.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

ServiceSpec spec(ServiceId id, const char* vip, std::uint16_t port, Protocol protocol, std::vector<Backend> backends) {
  return {.id = id,
          .vip = *parse_prefix(vip),
          .ports = {port, port},
          .protocol = protocol,
          .maglev_size = 251,
          .backends = std::move(backends)};
}

TEST(Services, FindsByDestinationPortAndProtocol) {
  auto services = Services::compile(
      {spec(10, "192.0.2.10/32", 80, Protocol::tcp, {{1, *parse_endpoint("10.0.0.1:8080"), 1}}),
       spec(11, "192.0.2.10/32", 80, Protocol::udp, {{1, *parse_endpoint("10.0.0.1:53"), 1}}),
       spec(12, "2001:db8::10/128", 80, Protocol::tcp,
            {{2, *parse_endpoint("[2001:db8:1::1]:8080"), 1}, {3, *parse_endpoint("[2001:db8:1::2]:8080"), 0}})},
      7);
  ASSERT_TRUE(services);
  EXPECT_EQ(services->generation(), 7u);
  EXPECT_EQ(services->find(*parse_ip("192.0.2.10"), 80, Protocol::tcp)->service->id, 10u);
  EXPECT_EQ(services->find(*parse_ip("192.0.2.10"), 80, Protocol::udp)->service->id, 11u);
  EXPECT_FALSE(services->find(*parse_ip("192.0.2.10"), 81, Protocol::tcp));
  const Service* six = services->by_id(12);
  ASSERT_TRUE(six);
  EXPECT_EQ(six->find(3)->weight, 0u) << "a draining backend is still known";
  EXPECT_EQ(six->find(4), nullptr);
  EXPECT_EQ(services->by_id(13), nullptr);
  for (const std::uint16_t slot : six->maglev.slots()) EXPECT_EQ(slot, 0);
}

TEST(Services, EveryErrorIsToldAtOnce) {
  auto wrong = spec(1, "192.0.2.10/32", 80, Protocol::icmp,
                    {{1, *parse_endpoint("[2001:db8::1]:80"), 1}, {1, *parse_endpoint("0.0.0.0:80"), 1}});
  wrong.maglev_size = 250;
  wrong.timeouts.udp = Nanos{0};
  wrong.ports = {5, 4};
  const auto refused = Services::compile({wrong, spec(1, "192.0.2.11/32", 80, Protocol::tcp, {})}, 1);
  ASSERT_FALSE(refused);
  using Kind = ServiceError::Kind;
  std::vector<Kind> kinds;
  for (const auto& error : refused.error()) kinds.push_back(error.kind);
  EXPECT_EQ(kinds,
            (std::vector<Kind>{Kind::protocol, Kind::ports, Kind::maglev_size, Kind::timeout, Kind::backend_family,
                               Kind::backend_address, Kind::duplicate_backend, Kind::duplicate_id}));
  for (const Kind kind : kinds) EXPECT_FALSE(to_text(kind).empty());
}

TEST(Services, TwoServicesForTheSamePacketsConflict) {
  const auto refused = Services::compile(
      {spec(1, "192.0.2.10/32", 80, Protocol::tcp, {}), spec(2, "192.0.2.10/32", 80, Protocol::tcp, {})}, 1);
  ASSERT_FALSE(refused);
  ASSERT_EQ(refused.error().size(), 1u);
  EXPECT_EQ(refused.error()[0].kind, ServiceError::Kind::conflict);
  EXPECT_EQ(refused.error()[0].service, 1u);
  EXPECT_EQ(refused.error()[0].other, 0u);
}

}  // namespace
}  // namespace sluice
