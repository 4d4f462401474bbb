#include "mgmt/node_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::mgmt {
namespace {

using testing::HasSubstr;

constexpr const char* smallest = R"([[port]]
name = "eth0"
device = "net_ring0"
)";

// The errors of a text, each as LINE KEY: TEXT.
std::vector<std::string> errors_of(const std::string& toml) {
  std::vector<std::string> all;
  const auto parsed = parse_node(toml);
  if (!parsed)
    for (const NodeError& error : parsed.error())
      all.push_back(std::to_string(error.line) + " " + error.key + ": " + error.text);
  return all;
}

TEST(NodeConfig, OnePortIsEnough) {
  const auto node = parse_node(smallest);
  ASSERT_TRUE(node) << to_text(node.error()[0], "");
  ASSERT_EQ(node->ports.size(), 1u);
  EXPECT_EQ(node->ports[0].name, "eth0");
  EXPECT_EQ(node->ports[0].device, "net_ring0");
  EXPECT_EQ(node->workers, 1);
  EXPECT_THAT(errors_of(""), testing::ElementsAre("0 port: there must be at least one [[port]]"));
}

TEST(NodeConfig, EveryKindOfValueIsTaken) {
  const auto node = parse_node(R"(
[node]
name = "edge"
workers = 2
worker_cpus = [1, 3]
hugepages = "never"
idle = "sleep"
drain_timeout = "5m"
[[port]]
name = "eth0"
device = "net_ring0"
promiscuous = false
addresses = ["192.0.2.1/24", "2001:db8::1/64"]
impair_receive = { loss_ppm = 10, delay = "250us" }
[[port.vlan]]
id = 5
addresses = ["198.51.100.1/24"]
[[route]]
destination = "10.0.0.0/8"
gateway = "192.0.2.254"
[upstream]
addresses = ["192.0.2.7"]
ports = "40000-40999"
[log]
level = "debug"
access = "json"
[tcp]
ecn = "ask"
syn_cookies = "always"
pacing = false
quick_acks = 16
[limits]
time_wait = "1s"
endpoints = 5
)");
  ASSERT_TRUE(node) << to_text(node.error()[0], "");
  EXPECT_EQ(node->name, "edge");
  EXPECT_EQ(node->worker_cpus, (std::vector<std::int64_t>{1, 3}));
  EXPECT_EQ(node->hugepages, Hugepages::never);
  EXPECT_TRUE(node->idle_sleep);
  EXPECT_EQ(node->ecn, tcp::Ecn::ask);
  EXPECT_EQ(node->syn_cookies, tcp::SynCookies::always);
  EXPECT_FALSE(node->pacing);
  EXPECT_EQ(node->quick_acks, 16);
  EXPECT_EQ(node->drain_timeout.millis(), 300'000);
  const PortConfig& port = node->ports.at(0);
  EXPECT_FALSE(port.promiscuous);
  EXPECT_EQ(port.addresses, (std::vector{*parse_prefix("192.0.2.1/24"), *parse_prefix("2001:db8::1/64")}));
  EXPECT_EQ(port.receive.loss_ppm, 10u);
  EXPECT_EQ(port.receive.delay.micros(), 250);
  EXPECT_EQ(port.vlans.at(0).id, 5);
  EXPECT_EQ(node->routes.at(0).gateway, *parse_ip("192.0.2.254"));
  EXPECT_EQ(node->upstream.addresses, (std::vector{*parse_ip("192.0.2.7")}));
  EXPECT_EQ(node->upstream.ports.first, 40000);
  EXPECT_EQ(node->upstream.ports.last, 40999);
  EXPECT_EQ(node->log_level, LogSeverity::debug);
  EXPECT_EQ(node->access_format, AccessFormat::json);
  EXPECT_EQ(node->time_wait.millis(), 1000);
  EXPECT_EQ(node->objects.endpoints, 5u);
}

TEST(NodeConfig, EveryKindOfErrorNamesItsLineAndKey) {
  const struct {
    const char *lines, *error;
  } cases[] = {
      {"[node]\ncolour = 1", "5 node.colour: unknown key"},
      {"[nod]\nname = \"a\"", "4 nod: unknown key"},
      {"[node]\nworkers = \"two\"", "5 node.workers: must be a whole number"},
      {"[node]\nworkers = 0", "5 node.workers: 0 is not between 1 and 64"},
      {"[node]\nworkers = 65", "5 node.workers: 65 is not between 1 and 64"},
      {"[node]\nname = 7", "5 node.name: must be a string"},
      {"[node]\nhugepages = \"maybe\"",
       "5 node.hugepages: \"maybe\" is not one of \"automatic\", \"required\", \"never\""},
      {"[node]\ndrain_timeout = \"5\"", "5 node.drain_timeout: \"5\" is not a duration"},
      {"[node]\ndrain_timeout = \"-1s\"", "5 node.drain_timeout: \"-1s\" is not a duration"},
      {"[node]\ndrain_timeout = 30", "5 node.drain_timeout: must be a duration"},
      {"[node]\nworker_cpus = 1", "5 node.worker_cpus: must be an array"},
      {"[node]\nworker_cpus = [0,\n1024]", "6 node.worker_cpus: takes CPU numbers from 0 to 1023"},
      {"promiscuous = 1", "4 port[0].promiscuous: must be true or false"},
      {"addresses = [\"192.0.2.1\"]", "4 port[0].addresses: takes an address with its prefix length"},
      {"[[port.vlan]]", "4 port[0].vlan[0].id: is missing"},
      {"[[port.vlan]]\nid = 4095", "5 port[0].vlan[0].id: 4095 is not between 1 and 4094"},
      {"impair_receive = 1", "4 port[0].impair_receive: must be a table"},
      {"[[port]]\nname = \"\"\ndevice = \"d\"", "5 port[1].name: must not be empty"},
      {"[route]\ngateway = \"192.0.2.1\"", "4 route: must be written as [[route]]"},
      {"[[route]]\ndestination = \"10.0.0.0/33\"\ngateway = \"192.0.2.1\"",
       "5 route[0].destination: \"10.0.0.0/33\" is not a prefix"},
      {"[[route]]\ndestination = \"10.0.0.0/8\"\ngateway = \"here\"",
       "6 route[0].gateway: \"here\" is not an IP address"},
      {"[snat]\nports = \"9-8\"", "5 snat.ports: \"9-8\" is not a range of ports"},
      {"[snat]\nports = \"0-8\"", "5 snat.ports: \"0-8\" is not a range of ports"},
      {"[snat]\naddresses = [\"192.0.2.1/24\"]", "5 snat.addresses: takes an IP address"},
  };
  for (const auto& each : cases)
    EXPECT_THAT(errors_of(std::string{smallest} + each.lines), testing::ElementsAre(testing::StartsWith(each.error)))
        << each.lines;
}

TEST(NodeConfig, AllErrorsComeAtOnceAndBadTomlHasALine) {
  EXPECT_EQ(errors_of("[node]\nworkers = 0\nname = 1\nx = 2\n[[port]]\nname = \"a\"").size(), 4u);
  const auto bad = errors_of("[node]\nname = \n");
  ASSERT_EQ(bad.size(), 1u);
  EXPECT_EQ(bad[0].front(), '2');
  EXPECT_EQ(to_text({7, "node.x", "unknown key"}, "node.toml"), "node.toml:7: node.x: unknown key");
  EXPECT_EQ(to_text({0, "", "cannot be read"}, "node.toml"), "node.toml: cannot be read");
  const auto nowhere = read_node_file("/nonexistent/node.toml");
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error()[0].text, "cannot be read");
}

TEST(NodeConfig, TheReferenceHasEveryTable) {
  const std::string page = node_reference();
  for (const char* heading : {"[node]", "[[port]]", "[[port.vlan]]", "[port.impair_receive]", "[[route]]", "[upstream]",
                              "[snat]", "[control]", "[metrics]", "[log]", "[limits]"})
    EXPECT_THAT(page, HasSubstr("## `" + std::string{heading} + "`")) << heading;
  EXPECT_THAT(page, HasSubstr("| `workers` | number, 1 to 64 | `1` |"));
}

}  // namespace
}  // namespace sluice::mgmt
