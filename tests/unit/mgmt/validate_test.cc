#include "mgmt/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/mgmt/sample.h"

namespace sluice::mgmt {
namespace {

std::vector<std::string> lines(const Faults& faults) {
  std::vector<std::string> out;
  for (const Fault& each : faults) out.push_back(each.path + ": " + each.message);
  return out;
}

TEST(Validate, AGoodPolicyHasNoFaults) {
  EXPECT_THAT(lines(validate(test::sample(), test::facts()).faults), testing::IsEmpty());
}

TEST(Validate, EveryFaultIsToldAtOnceWithItsPath) {
  spec::Policy p = test::sample();
  p.listeners.push_back({.name = "web",
                         .addresses = {"host.example"},
                         .port = 443,
                         .ingress_port = "eth9",
                         .protocol = spec::ListenerProtocol::https,
                         .tls = spec::ListenerTls{.certificates = {"x"}, .alpn = {"h3"}, .tickets = 9},
                         .routes = "other"});
  p.route_tables[0].virtual_hosts[0].routes[1].clusters = {{"gone", 0}};
  p.clusters[0].connect_timeout_ms = 0;
  p.endpoints.push_back({"a", "a1", "10.0.0.1:8080", 1});
  p.endpoints.push_back({"c", "c/1", "example.com:80", 1});
  p.services[0].maglev_slots = 65536;
  EXPECT_THAT(
      lines(validate(p, test::facts()).faults),
      testing::ElementsAre(
          "route_tables[0].virtual_hosts[0].routes[1].clusters[0].cluster: unknown cluster \"gone\"",
          "route_tables[0].virtual_hosts[0].routes[1].clusters: the sum of the weights is 0",
          "clusters[0].connect_timeout_ms: 0 is not allowed here",
          "endpoints[5].name: cluster \"a\" has \"a1\" already: endpoints[0]",
          "endpoints[5].address: cluster \"a\" has 10.0.0.1:8080 already: endpoints[0]",
          "endpoints[6].cluster: unknown cluster \"c\"", "endpoints[6].name: an endpoint's name has no \"/\"",
          "endpoints[6].address: \"example.com:80\" is not an address and a port (192.0.2.7:80, [2001:db8::7]:80)",
          "listeners[1].name: \"web\" is already the name of listeners[0]",
          "listeners[1].addresses[0]: \"host.example\" is neither an address nor a prefix (192.0.2.0/24, "
          "2001:db8::/32)",
          "listeners[1].ingress_port: the node has no port \"eth9\"; it has: eth0, eth1",
          "listeners[1].routes: unknown route table \"other\"",
          "listeners[1].tls.certificates[0]: unknown certificate \"x\"",
          "listeners[1].tls.alpn[0]: unknown value \"h3\"; known: http/1.1",
          "listeners[1].tls.tickets: 9 is more than 8",
          "services[0].maglev_slots: 65536 is not a prime from 3 to 16777213"));
}

TEST(Validate, NoListenerOnPortsThatTheNodeSpeaksFrom) {
  spec::Policy p = test::sample();
  NodeFacts node = test::facts();
  node.speaks = {{*parse_ip("192.0.2.80"), {10000, 32767}, LocalUse::snat},
                 {*parse_ip("192.0.2.80"), {32768, 65535}, LocalUse::upstream}};
  p.listeners[0].port = 8080;
  p.listeners[0].last_port = 0;
  for (const char* address : {"192.0.2.80", "192.0.2.80/32", "0.0.0.0/0", "192.0.2.81"}) {
    p.listeners[0].addresses = {address};
    EXPECT_TRUE(validate(p, node).ok()) << address;
  }
  p.listeners[0].port = 10443;
  EXPECT_TRUE(validate(p, node).ok());
  p.listeners[0].addresses = {"192.0.2.81", "192.0.2.80/32"};
  EXPECT_THAT(lines(validate(p, node).faults),
              testing::ElementsAre("listeners[0].port: the node speaks from ports 10000 to 32767 of 192.0.2.80/32 "
                                   "(snat.ports of the node file)"));
}

TEST(Validate, ADeltaIsCheckedByName) {
  const spec::EndpointDelta delta{{{"x", "e", "10.0.0.9:1", 1}}, {{"a", "a9"}, {"a", "a9"}}};
  EXPECT_THAT(lines(validate_delta(delta, test::sample()).faults),
              testing::ElementsAre("set[0].cluster: unknown cluster \"x\"", "remove[0]: unknown endpoint \"a/a9\"",
                                   "remove[1]: unknown endpoint \"a/a9\"",
                                   "remove[1]: the delta names \"a/a9\" already: remove[0]"));
}

TEST(Validate, AThousandFaultsAreEnough) {
  spec::Policy p = test::sample();
  p.endpoints.assign(3000, {"none", "", "", 1});
  const Faults faults = validate(p, test::facts()).faults;
  ASSERT_EQ(faults.size(), 1001u);
  EXPECT_EQ(faults.back().message, "and 8000 more");
}

}  // namespace
}  // namespace sluice::mgmt
