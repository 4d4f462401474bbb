#include "mgmt/topology.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace sluice::mgmt {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

NodeConfig node(std::uint16_t workers) {
  NodeConfig config;
  config.workers = workers;
  PortConfig port;
  port.name = "eth0";
  port.device = "net_ring0";
  port.addresses = {*parse_prefix("192.0.2.1/24")};
  config.ports.push_back(port);
  return config;
}

std::vector<int> cpus_of(const Topology& topology) {
  std::vector<int> cpus;
  for (const WorkerPlace& worker : topology.workers) cpus.push_back(worker.cpu);
  return cpus;
}

TEST(Topology, WorkersTakeTheLastCpusAndLeaveTheFirst) {
  const auto plan = plan_topology(node(2), {0, 2, 5, 7});
  ASSERT_TRUE(plan);
  EXPECT_THAT(cpus_of(*plan), ElementsAre(7, 5));
  EXPECT_TRUE(plan->warnings.empty());
}

TEST(Topology, GivenCpusAreTaken) {
  NodeConfig config = node(2);
  config.worker_cpus = {2, 0};
  config.management_cpu = 1;
  const auto plan = plan_topology(config, {0, 1, 2});
  ASSERT_TRUE(plan);
  EXPECT_THAT(cpus_of(*plan), ElementsAre(2, 0));
  EXPECT_EQ(plan->management_cpu, 1);
}

TEST(Topology, MoreWorkersThanCpusIsAWarning) {
  const auto plan = plan_topology(node(3), {4, 5});
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->workers.size(), 3u);
  EXPECT_THAT(plan->warnings, Contains("CPU 5 is shared by several workers"));
  EXPECT_THAT(plan->warnings, Contains("the management thread has no CPU of its own"));
}

TEST(Topology, HandshakeThreadsTakeTheCpusOfNoWorker) {
  NodeConfig config = node(2);
  config.handshake_cores = 2;
  auto plan = plan_topology(config, {0, 2, 5, 7});
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->helper_cpus, (std::vector<int>{0, 2}));
  EXPECT_TRUE(plan->warnings.empty());
  EXPECT_NE(to_text(*plan, config).find("handshakes   2 thread(s), CPU 0 2\n"), std::string::npos);
  plan = plan_topology(config, {0, 2});
  ASSERT_TRUE(plan);
  EXPECT_TRUE(plan->helper_cpus.empty());
  EXPECT_EQ(plan->warnings[0], "node.handshake_cores: 2 threads, and 0 CPUs without a worker");
}

TEST(Topology, ExceptionPortsStandBehindThoseOfTheFile) {
  NodeConfig config = node(1);
  config.ports[0].exception = "net_tap0,iface=s0";
  VlanConfig vlan;
  vlan.id = 9;
  vlan.exception = "net_tap1";
  config.ports[0].vlans.push_back(vlan);
  PortConfig second = config.ports[0];
  second.name = "eth1", second.device = "net_ring1", second.exception.clear(), second.vlans.clear();
  config.ports.push_back(second);
  const auto plan = plan_topology(config, {0, 1});
  ASSERT_TRUE(plan);
  std::vector<std::string> names;
  for (const PortPlace& port : plan->ports) names.push_back(port.name);
  EXPECT_THAT(names, ElementsAre("eth0", "eth1", "eth0.exception", "eth0.9.exception"));
  EXPECT_EQ(plan->ports[3].exception_of, "eth0");
  EXPECT_THAT(to_text(*plan, config), HasSubstr("(exception port of eth0)"));
}

TEST(Topology, AllErrorsAreToldAtOnce) {
  NodeConfig config = node(2);
  config.worker_cpus = {9};
  config.management_cpu = 8;
  config.memory_mib = 64;
  config.ports[0].addresses.clear();
  config.ports.push_back(config.ports[0]);
  config.ports[1].vlans.resize(2);
  config.ports[1].vlans[0].id = config.ports[1].vlans[1].id = 3;
  const auto plan = plan_topology(config, {0, 1});
  ASSERT_FALSE(plan);
  for (const char* text :
       {"node.management_cpu: this process may not run on CPU 8", "node.worker_cpus: 1 CPUs for 2 workers",
        "node.worker_cpus[0]: this process may not run on CPU 9", "port \"eth0\": the name is taken",
        "port \"eth0\": device net_ring0 is used twice", "port \"eth0\": VLAN 3 is there twice",
        "no port has an address", "node.memory_mib: 64 MiB hold "})
    EXPECT_THAT(plan.error().lines, Contains(HasSubstr(text))) << text;
}

// Every queue that a port was opened with and that somebody should poll has exactly one owner.
TEST(Topology, EveryQueueHasOneOwner) {
  for (std::uint16_t workers = 1; workers <= 5; ++workers) {
    for (std::uint16_t queues : {1, 2, 5}) {
      for (PortId port = 0; port < 6; ++port) {
        std::multiset<std::uint16_t> owned;
        for (std::uint16_t worker = 0; worker < workers; ++worker) {
          const QueueOwner queue = queue_of(worker, workers, port, queues);
          EXPECT_EQ(queue.owns, queue.owner == worker);
          if (queue.owns) owned.insert(queue.queue);
          else EXPECT_TRUE(queue_of(queue.owner, workers, port, queues).owns);
        }
        const std::size_t used = queues >= workers ? workers : 1;
        EXPECT_EQ(owned.size(), used);
        for (std::uint16_t q = 0; q < used; ++q) EXPECT_EQ(owned.count(q), 1u);
      }
    }
  }
  EXPECT_NE(queue_of(0, 2, 0, 1).owner, queue_of(0, 2, 1, 1).owner) << "workers take turns from port to port";
}

TEST(Topology, TheMemoryAskedForSuffices) {
  NodeConfig config = node(16);
  config.memory_mib = 64;
  const auto refused = plan_buffers(config, 1);
  ASSERT_FALSE(refused);
  const std::string marker = "give at least ";
  const std::size_t at = refused.error().find(marker);
  ASSERT_NE(at, std::string::npos) << refused.error();
  config.memory_mib = static_cast<std::uint32_t>(std::stoul(refused.error().substr(at + marker.size())));
  const auto plan = plan_buffers(config, 1);
  ASSERT_TRUE(plan) << plan.error();
  EXPECT_GE(plan->data, plan->fixed + plan->held * config.workers);
  EXPECT_EQ(plan->slices, 2 * plan->data);
  config.memory_mib *= 2;
  EXPECT_GT(plan_buffers(config, 1)->data, plan->data);
}

}  // namespace
}  // namespace sluice::mgmt
