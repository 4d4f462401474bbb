#include "mgmt/worker_config.h"

#include <gtest/gtest.h>

namespace sluice::mgmt {
namespace {

// Each value differs from its default, so a key that does not arrive is seen.
TEST(WorkerConfig, WhatTheNodeFileSaysOfTcpReachesTheStack) {
  const auto node = parse_node(R"(
[[port]]
name = "a"
device = "net_ring0"
[upstream]
ports = "40000-40999"
[tcp]
ecn = "ask"
syn_cookies = "always"
pacing = true
quick_acks = 16
[limits]
connections = 4096
receive_window = 1048576
send_buffer = 2097152
time_wait = "1s"
)");
  ASSERT_TRUE(node);
  const IpAddress sources[] = {*parse_ip("192.0.2.7"), *parse_ip("2001:db8::7")};
  const PipelineConfig c = worker_config(*node, {.held = 1000}, sources, 0);
  EXPECT_EQ(c.tcp.ecn, tcp::Ecn::ask);
  EXPECT_EQ(c.tcp.syn_cookies, tcp::SynCookies::always);
  EXPECT_TRUE(c.tcp.pacing);
  EXPECT_EQ(c.tcp.quick_acks, 16);
  EXPECT_EQ(c.tcp.connections, 4096u);
  EXPECT_EQ(c.tcp.transits, 4096u);
  EXPECT_EQ(c.exchanges.connections, 4096u);
  EXPECT_EQ(c.tcp.receive_limit, 1'048'576u);
  EXPECT_EQ(c.tcp.send_limit, 2'097'152u);
  EXPECT_EQ(c.tcp.time_wait.millis(), 1000);
  EXPECT_EQ(c.tcp.held_buffers_max, 1000u);
  ASSERT_EQ(c.tcp.source_count, 2);
  EXPECT_EQ(c.tcp.sources[1].address, sources[1]);
  EXPECT_EQ(c.tcp.sources[1].port_low, 40000);
  EXPECT_EQ(c.tcp.sources[1].port_high, 40999);
}

TEST(WorkerConfig, EveryWorkerKnowsItsPlace) {
  NodeConfig node;
  node.workers = 3;
  for (std::uint16_t worker = 0; worker < 3; ++worker) {
    const PipelineConfig c = worker_config(node, {}, {}, worker);
    EXPECT_EQ(c.worker, worker);
    EXPECT_EQ(c.forward.worker, worker);
    EXPECT_EQ(c.exchanges.worker, worker);
    EXPECT_EQ(c.forward.workers, 3);
    EXPECT_EQ(c.exchanges.workers, 3);
    EXPECT_EQ(c.host.announces, worker == 0) << "gratuitous ARP is sent once";
  }
}

}  // namespace
}  // namespace sluice::mgmt
