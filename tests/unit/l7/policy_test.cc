#include "l7/policy.h"

#include <gtest/gtest.h>

namespace sluice::policy {
namespace {

Cluster cluster(ClusterId id, const char* name) {
  Cluster out;
  out.id = id;
  out.name = name;
  return out;
}

TEST(ById, FindsByIdAndKeepsPolicyOrder) {
  const ById<Cluster> clusters{{cluster(7, "c"), cluster(0, "a"), cluster(3, "b")}};
  ASSERT_EQ(clusters.size(), 3u);
  EXPECT_EQ(clusters.find(0)->name, "a");
  EXPECT_EQ(clusters.find(3)->name, "b");
  EXPECT_EQ(clusters.find(7)->name, "c");
  for (ClusterId id : {1u, 2u, 4u, 6u, 8u, 1'000'000u, no_id}) EXPECT_EQ(clusters.find(id), nullptr) << id;
  std::string order;
  for (const Cluster& each : clusters) order += each.name;
  EXPECT_EQ(order, "cab");
}

TEST(ById, AnIdTwiceIsOurBug) { EXPECT_DEATH((ById<Cluster>{{cluster(1, "a"), cluster(1, "b")}}), "CHECK failed"); }

TEST(EndpointSet, AClusterThatIsNotThereHasNoGroup) {
  EndpointSet set;
  set.groups.resize(3);
  set.groups[1] = std::make_shared<EndpointGroup>();
  EXPECT_EQ(set.of(0), nullptr);
  EXPECT_EQ(set.of(1), set.groups[1].get());
  EXPECT_EQ(set.of(99), nullptr);
}

}  // namespace
}  // namespace sluice::policy
