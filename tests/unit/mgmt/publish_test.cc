#include "mgmt/publish.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/unit/mgmt/node.h"

namespace sluice::mgmt {
namespace {

using Kind = ApplyResult::Kind;

TEST(Publish, APolicyIsWhatWorkersRead) {
  test::Node node;
  EXPECT_EQ(node.publisher.published().read()->generation, 0u);
  const ApplyResult result = node.apply(test::sample());
  ASSERT_EQ(result.kind, Kind::applied) << result.faults[0].path << " " << result.faults[0].message;
  const Policy& policy = *node.publisher.published().read();
  EXPECT_EQ(policy.generation, 1u);
  const auto match = policy.routes->listener_match->find(*parse_ip("192.0.2.1"), 80, 0);
  ASSERT_TRUE(match);
  EXPECT_EQ(policy.routes->listeners.find(*match)->name, "web");
  EXPECT_EQ(policy.routes->listeners.find(*match)->routes->route_count(), 2u);
  const policy::Cluster& a = *policy.clusters->clusters.begin();
  EXPECT_EQ(policy.endpoints->of(a.id)->endpoints.size(), 2u);
  const auto dns = policy.endpoints->services->find(*parse_ip("192.0.2.53"), 53, Protocol::udp);
  ASSERT_TRUE(dns);
  EXPECT_EQ(dns->service->backends.size(), 2u);
  EXPECT_EQ(decode_policy(node.publisher.copy(), {}).value(), test::sample());
}

TEST(Publish, ARefusedPolicyNamesFaultsOfAllRoomsAndChangesNothing) {
  test::Node node;
  ASSERT_EQ(node.apply(test::sample()).kind, Kind::applied);
  spec::Policy bad = test::sample();
  bad.route_tables[0].virtual_hosts[0].routes[0].path = {spec::PathMatchKind::regex, "/(a"};
  bad.listeners.push_back(bad.listeners[0]);
  bad.listeners[1].name = "twin";
  bad.clusters.push_back({.name = "new"});
  bad.endpoints.push_back({"nowhere", "x", "10.0.0.1:1", 1});
  const ApplyResult result = node.apply(bad);
  ASSERT_EQ(result.kind, Kind::refused);
  std::vector<std::string> paths;
  for (const Fault& each : result.faults) paths.push_back(each.path);
  EXPECT_THAT(
      paths, testing::ElementsAre("endpoints[5].cluster", "route_tables[0].virtual_hosts[0].routes[0].match.path.value",
                                  "listeners[1].addresses[0]"));
  EXPECT_EQ(node.publisher.published().read()->generation, 1u);
  node.publisher.housekeep();
  EXPECT_EQ(node.publisher.published().alive(), 1u);
  EXPECT_EQ(node.publisher.apply(bytes("garbage garbage")).kind, Kind::refused);
}

TEST(Publish, ADryRunTellsTheChangesAndLeavesNoTrace) {
  test::Node node;
  const ApplyResult result = node.publisher.dry_run(encode_policy(test::sample(), PrivateKeys::keep));
  EXPECT_EQ(result.kind, Kind::applied);
  EXPECT_EQ(result.changes.size(), 11u);
  EXPECT_EQ(result.generation, 0u);
  EXPECT_EQ(node.run_time.given, 0u);
  EXPECT_EQ(node.publisher.published().read()->generation, 0u);
}

TEST(Publish, ADeltaChangesOneGroupAndClonesNoTable) {
  test::Node node;
  node.apply(test::sample());
  const Policy before = *node.publisher.published().read();
  const auto id = [&](const char* name) {
    return std::ranges::find(before.clusters->clusters, std::string{name}, &policy::Cluster::name)->id;
  };
  ASSERT_EQ(
      node.publisher.apply({{{"a", "a2", "10.0.0.2:8080", 0}, {"a", "a3", "10.0.0.3:8080", 1}}, {{"a", "a1"}}}).kind,
      Kind::applied);
  const Policy& after = *node.publisher.published().read();
  EXPECT_EQ(after.generation, 2u);
  EXPECT_EQ(after.routes, before.routes);
  EXPECT_EQ(after.clusters, before.clusters);
  EXPECT_EQ(after.endpoints->of(id("b")), before.endpoints->of(id("b")));
  EXPECT_EQ(after.endpoints->services, before.endpoints->services);
  const policy::EndpointGroup& a = *after.endpoints->of(id("a"));
  ASSERT_EQ(a.endpoints.size(), 2u);
  EXPECT_EQ(a.endpoints[0].id, before.endpoints->of(id("a"))->endpoints[1].id);
  EXPECT_EQ(a.endpoints[0].weight, 0u);
  EXPECT_EQ(a.total_weight, 1u);
}

TEST(Publish, ABadDeltaIsRefusedInTheDeltasOwnWords) {
  test::Node node;
  node.apply(test::sample());
  const ApplyResult result = node.publisher.apply({{{"b", "b1", "10.0.1.9:1", 1}, {"a", "a7", "nonsense", 1}}, {}});
  ASSERT_EQ(result.faults.size(), 1u);
  EXPECT_EQ(result.faults[0].path, "set[1].address");
  EXPECT_EQ(decode_policy(node.publisher.copy(), {}).value(), test::sample());
}

TEST(Publish, AnExpectedGenerationThatDoesNotRunIsRefused) {
  test::Node node;
  const auto bytes = encode_policy(test::sample(), PrivateKeys::keep);
  EXPECT_EQ(node.publisher.apply(bytes, 1).kind, Kind::other_generation);
  node.apply(test::sample());
  EXPECT_EQ(node.publisher.apply(bytes, 1).kind, Kind::applied);
}

TEST(Publish, AThousandAppliesLeaveTheUntouchedAloneAndFewSnapshotsAlive) {
  test::Node node;
  node.qsbr.online(0);
  spec::Policy policy = test::sample();
  node.apply(policy);
  const Policy first = *node.publisher.published().read();
  const std::size_t given = node.run_time.given;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    policy.clusters[1].max_pending = i + 1;
    ASSERT_EQ(node.apply(policy).kind, Kind::applied);
    node.qsbr.quiescent(0);
    node.publisher.housekeep();
    ASSERT_LE(node.publisher.status().snapshots_alive, 4u);
  }
  const Policy last = *node.publisher.published().read();
  EXPECT_EQ(last.generation, 1001u);
  EXPECT_EQ(last.routes, first.routes);
  EXPECT_EQ(last.endpoints, first.endpoints);
  EXPECT_EQ(node.run_time.given, given);
  node.qsbr.offline(0);
}

TEST(Publish, AWorkerSeesWholePoliciesWhileTheyAreSwapped) {
  test::Node node;
  node.apply(test::sample());
  std::atomic<bool> stop{false};
  std::thread worker{[&] {
    node.qsbr.online(0);
    std::uint64_t last = 0;
    while (!stop) {
      const Policy& policy = *node.publisher.published().read();
      EXPECT_GE(policy.generation, last);
      last = policy.generation;
      for (const policy::Cluster& cluster : policy.clusters->clusters) {
        const policy::EndpointGroup* group = policy.endpoints->of(cluster.id);
        EXPECT_NE(group, nullptr);
        std::uint64_t weight = 0;
        for (const policy::Endpoint& each : group->endpoints) weight += each.weight;
        EXPECT_EQ(weight, group->total_weight);
      }
      node.qsbr.quiescent(0);
    }
    node.qsbr.offline(0);
  }};
  for (std::uint32_t i = 0; i < 300; ++i) {
    node.publisher.apply(
        {{{"a", "x" + std::to_string(i % 5), "10.9.0." + std::to_string(1 + i % 5) + ":1", i % 3}}, {}});
    if (i % 10 == 0) node.apply(test::sample());
    node.publisher.housekeep();
  }
  stop = true;
  worker.join();
  node.publisher.housekeep();
  EXPECT_EQ(node.publisher.status().snapshots_alive, 1u);
}

}  // namespace
}  // namespace sluice::mgmt
