#include "l7/upstream/pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace sluice {
namespace {

const policy::ObjectLimits limits{.listeners = 1, .routes = 1, .clusters = 4, .endpoints = 8, .services = 1};

class UpstreamPoolTest : public testing::Test {
 protected:
  Connection& connection(policy::EndpointId endpoint, policy::ClusterId cluster = 0) {
    Connection* made = connections_.make(Side::upstream, http::Limits{});
    CHECK(made);
    made->object = endpoint;
    made->cluster = cluster;
    return *made;
  }
  ConnectionPool connections_{16};
  UpstreamPool pool_{limits, connections_};
};

TEST_F(UpstreamPoolTest, TakesTheNewestFirst) {
  Connection &a = connection(3), &b = connection(3), &c = connection(3), &other = connection(5);
  for (Connection* each : {&a, &other, &b, &c}) pool_.give(*each);
  EXPECT_EQ(pool_.idle_count(), 4u);
  EXPECT_EQ(pool_.idle_count(3), 3u);
  EXPECT_EQ(pool_.take(3), &c);
  EXPECT_FALSE(c.idle);
  EXPECT_EQ(pool_.take(3), &b);
  EXPECT_EQ(pool_.take(3), &a);
  EXPECT_EQ(pool_.take(3), nullptr);
  EXPECT_EQ(pool_.take(4), nullptr);
  EXPECT_EQ(pool_.take(5), &other);
  EXPECT_EQ(pool_.idle_count(), 0u);
}

TEST_F(UpstreamPoolTest, WhatEndsLeavesItsListFromAnywhere) {
  Connection &a = connection(1), &b = connection(1), &c = connection(1);
  for (Connection* each : {&a, &b, &c}) pool_.give(*each);
  pool_.remove(b);
  pool_.remove(b);  // not idle any more: nothing happens
  EXPECT_EQ(pool_.idle_count(1), 2u);
  EXPECT_EQ(pool_.take(1), &c);
  pool_.give(c);
  pool_.remove(c);
  pool_.remove(a);
  EXPECT_EQ(pool_.take(1), nullptr);
  EXPECT_EQ(pool_.idle_count(), 0u);
}

TEST_F(UpstreamPoolTest, ClustersWithIdleConnectionsTakeTurns) {
  const auto seen = [this](unsigned most) {
    std::vector<policy::ClusterId> ids;
    pool_.some_idle_clusters(most, [&](policy::ClusterId id) { ids.push_back(id); });
    std::ranges::sort(ids);
    return ids;
  };
  using Ids = std::vector<policy::ClusterId>;
  EXPECT_EQ(seen(8), Ids{});
  Connection &a = connection(1, 1), &b = connection(1, 1), &c = connection(2, 2), &d = connection(3, 3);
  for (Connection* each : {&a, &b, &c, &d}) pool_.give(*each);
  EXPECT_EQ(seen(3), (Ids{1, 2, 3}));
  Ids two = seen(2), rest = seen(1);
  two.insert(two.end(), rest.begin(), rest.end());
  std::ranges::sort(two);
  EXPECT_EQ(two, (Ids{1, 2, 3})) << "each once before any comes again";
  pool_.remove(c);
  pool_.remove(a);
  seen(3);
  EXPECT_EQ(seen(2), (Ids{1, 3})) << "one of cluster 1 is idle still";
  pool_.give(c);
  EXPECT_EQ(seen(3), (Ids{1, 2, 3}));
  for (Connection* each : {&b, &c, &d}) pool_.remove(*each);
  EXPECT_EQ(seen(8), Ids{});
}

TEST_F(UpstreamPoolTest, TheOldestOfAGroupGivesItsSlot) {
  policy::EndpointGroup group;
  for (const policy::EndpointId id : {0u, 2u}) {
    policy::Endpoint endpoint;
    endpoint.id = id;
    group.endpoints.push_back(endpoint);
  }
  EXPECT_EQ(pool_.oldest_of(group), nullptr);
  Connection &stranger = connection(1), &old = connection(2), &young = connection(2);
  pool_.give(stranger);
  EXPECT_EQ(pool_.oldest_of(group), nullptr);
  pool_.give(old);
  pool_.give(young);
  EXPECT_EQ(pool_.oldest_of(group), &old);
  EXPECT_TRUE(old.idle) << "it is only named";
  pool_.remove(old);
  EXPECT_EQ(pool_.oldest_of(group), &young);
}

TEST_F(UpstreamPoolTest, SweepHandsOverAllOfWhatIsNotKept) {
  std::vector<Connection*> made;
  for (const policy::EndpointId id : {0u, 6u, 7u, 6u}) made.push_back(&connection(id));
  for (Connection* each : made) pool_.give(*each);
  std::vector<Connection*> swept;
  pool_.sweep([](policy::EndpointId id) { return id != 6; }, [&](Connection& c) { swept.push_back(&c); });
  EXPECT_EQ(swept, (std::vector{made[3], made[1]}));
  for (const Connection* each : swept) EXPECT_FALSE(each->idle);
  EXPECT_EQ(pool_.idle_count(), 2u);
  EXPECT_EQ(pool_.idle_count(6), 0u);
}

TEST_F(UpstreamPoolTest, AClusterStandsInTheWaitingListOnce) {
  pool_.list(2);
  pool_.list(2);
  pool_.list(1);
  EXPECT_EQ(pool_.waiting(), (std::vector<policy::ClusterId>{2, 1}));
}

}  // namespace
}  // namespace sluice
