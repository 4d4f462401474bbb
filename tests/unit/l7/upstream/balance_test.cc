#include "l7/upstream/balance.h"

#include <gtest/gtest.h>

#include <map>

namespace sluice {
namespace {

const policy::ObjectLimits limits{.listeners = 1, .routes = 1, .clusters = 1, .endpoints = 16, .services = 1};

policy::EndpointGroup group_of(std::initializer_list<std::uint32_t> weights) {
  policy::EndpointGroup group;
  for (const std::uint32_t weight : weights) {
    policy::Endpoint endpoint;
    endpoint.id = static_cast<policy::EndpointId>(group.endpoints.size());
    endpoint.weight = weight;
    group.endpoints.push_back(endpoint);
    group.total_weight += weight;
  }
  return group;
}

class Balance : public testing::Test {
 protected:
  const policy::Endpoint* choose(policy::Balance how, const policy::EndpointGroup& group) {
    return balance(how, group, turn_, rng_, stats_);
  }
  std::uint64_t turn_ = 0;
  Rng rng_{7};
  Stats stats_{limits};
};

TEST_F(Balance, RoundRobinGivesExactlyItsWeightToEachOverAnyTotal) {
  for (const auto& weights : {std::initializer_list<std::uint32_t>{1},
                              {1, 1, 1},
                              {5, 1, 1},
                              {3, 7},
                              {0, 2, 3},
                              {1, 100, 10},
                              {4, 0, 6, 2},
                              {1'000'000, 1}}) {
    const policy::EndpointGroup group = group_of(weights);
    const std::uint64_t windows = group.total_weight > 1000 ? 1 : 5;
    turn_ = rng_.below(1000);  // any total_weight choices, not those from the beginning
    for (std::uint64_t window = 0; window < windows; ++window) {
      std::map<policy::EndpointId, std::uint64_t> chosen;
      for (std::uint64_t i = 0; i < group.total_weight; ++i) ++chosen[choose(policy::Balance::round_robin, group)->id];
      for (const policy::Endpoint& endpoint : group.endpoints)
        ASSERT_EQ(chosen[endpoint.id], endpoint.weight)
            << "of " << group.endpoints.size() << ", number " << endpoint.id;
    }
  }
}

TEST_F(Balance, RoundRobinSpreadsAHeavyOne) {
  const policy::EndpointGroup group = group_of({2, 1, 1});
  policy::EndpointId last = policy::no_id;
  unsigned together = 0;
  for (int i = 0; i < 400; ++i) {
    const policy::EndpointId now = choose(policy::Balance::round_robin, group)->id;
    together += now == last;
    last = now;
  }
  EXPECT_LT(together, 110u) << "half of all are endpoint 0's; it may follow itself once in four, not come in blocks";
}

TEST_F(Balance, WeightZeroIsNeverChosen) {
  const policy::EndpointGroup draining = group_of({0, 3, 0, 1});
  for (const policy::Balance how :
       {policy::Balance::round_robin, policy::Balance::random, policy::Balance::least_request})
    for (int i = 0; i < 10'000; ++i) ASSERT_NE(choose(how, draining)->weight, 0u);
  for (const policy::Balance how :
       {policy::Balance::round_robin, policy::Balance::random, policy::Balance::least_request}) {
    EXPECT_EQ(choose(how, group_of({0, 0})), nullptr);
    EXPECT_EQ(choose(how, group_of({})), nullptr);
  }
}

TEST_F(Balance, RandomFollowsWeights) {
  const policy::EndpointGroup group = group_of({1, 2, 5});
  std::map<policy::EndpointId, double> chosen;
  constexpr int n = 80'000;
  for (int i = 0; i < n; ++i) ++chosen[choose(policy::Balance::random, group)->id];
  EXPECT_NEAR(chosen[0] / n, 1.0 / 8, 0.01);
  EXPECT_NEAR(chosen[1] / n, 2.0 / 8, 0.01);
  EXPECT_NEAR(chosen[2] / n, 5.0 / 8, 0.01);
}

TEST_F(Balance, LeastRequestAvoidsTheBusy) {
  const policy::EndpointGroup group = group_of({1, 1, 1, 1});
  stats_.endpoint(2).add(Figure::active_requests, 100);
  std::map<policy::EndpointId, double> chosen;
  constexpr int n = 40'000;
  for (int i = 0; i < n; ++i) ++chosen[choose(policy::Balance::least_request, group)->id];
  // Only when both draws are the busy one.
  EXPECT_NEAR(chosen[2] / n, 1.0 / 16, 0.01);
  for (const policy::EndpointId id : {0u, 1u, 3u}) EXPECT_NEAR(chosen[id] / n, 5.0 / 16, 0.015);
}

}  // namespace
}  // namespace sluice
