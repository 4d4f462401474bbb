#include "mgmt/diff.h"

#include <gtest/gtest.h>

#include "tests/unit/mgmt/sample.h"

namespace sluice::mgmt {
namespace {

TEST(Diff, EqualPoliciesNeedNothingWhateverTheirOrder) {
  spec::Policy other = test::sample();
  std::swap(other.clusters[0], other.clusters[2]);
  std::swap(other.endpoints[0], other.endpoints[3]);
  EXPECT_TRUE(plan(test::sample(), other).empty());
}

TEST(Diff, NamesWhatIsAddedRemovedAndChanged) {
  spec::Policy wanted = test::sample();
  wanted.listeners[0].name = "web2";
  wanted.clusters[1].max_pending = 3;
  wanted.endpoints.erase(wanted.endpoints.begin());
  wanted.route_tables[0].virtual_hosts[0].routes.pop_back();
  EXPECT_EQ(plan(test::sample(), wanted), (std::vector<Action>{{ChangeKind::removed, Object::listener, "web"},
                                                               {ChangeKind::removed, Object::endpoint, "a/a1"},
                                                               {ChangeKind::changed, Object::route_table, "main"},
                                                               {ChangeKind::changed, Object::cluster, "b"},
                                                               {ChangeKind::added, Object::listener, "web2"}}));
}

TEST(Diff, AnEndpointOfTheSameNameInAnotherClusterIsAnother) {
  spec::Policy wanted = test::sample();
  wanted.endpoints[0].cluster = "b";
  EXPECT_EQ(plan(test::sample(), wanted), (std::vector<Action>{{ChangeKind::removed, Object::endpoint, "a/a1"},
                                                               {ChangeKind::added, Object::endpoint, "b/a1"}}));
}

}  // namespace
}  // namespace sluice::mgmt
