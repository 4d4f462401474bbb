#include "mgmt/registry.h"

#include <gtest/gtest.h>

#include <map>

#include "dataplane/base/rng.h"

namespace sluice::mgmt {
namespace {

using policy::ObjectKind;
constexpr auto cluster = ObjectKind::cluster;

TEST(Registry, IdsAreDenseStableAndReusedOnlyAfterCollection) {
  Registry registry{{.clusters = 2}};
  const auto a = registry.assign(cluster, "a"), b = registry.assign(cluster, "b");
  EXPECT_EQ(a->id, 0u);
  EXPECT_EQ(b->id, 1u);
  registry.commit(1);
  registry.release(cluster, "a");
  EXPECT_FALSE(registry.assign(cluster, "c")) << "its id is not free yet";
  registry.commit(2);
  EXPECT_EQ(registry.collect(1, [](auto&) { return true; }), 0u) << "generation 1 is alive";
  EXPECT_EQ(registry.collect(2, [](auto&) { return false; }), 0u) << "connections are left";
  EXPECT_EQ(registry.collect(2, [](auto&) { return true; }), 1u);
  const auto c = registry.assign(cluster, "c");
  ASSERT_TRUE(c);
  EXPECT_EQ(c->id, a->id);
  EXPECT_NE(c->generation, a->generation);
}

TEST(Registry, ANameThatComesBackInTimeKeepsItsId) {
  Registry registry{{}};
  const auto a = registry.assign(cluster, "a");
  registry.commit(1);
  registry.release(cluster, "a");
  registry.commit(2);
  EXPECT_EQ(registry.assign(cluster, "a"), a);
  EXPECT_TRUE(registry.newly_assigned().empty());
  registry.commit(3);
  EXPECT_EQ(registry.collect(100, [](auto&) { return true; }), 0u);
  EXPECT_EQ(registry.find(cluster, "a"), a);
}

// Random transactions against a model: names map to distinct ids below the limit, and a rollback leaves no trace.
TEST(Registry, RandomTransactionsKeepNamesApart) {
  constexpr std::uint32_t limit = 8;
  Registry registry{{.clusters = limit}};
  Rng rng{2};
  std::map<std::string, ObjectRef> live;
  std::uint64_t generation = 0;
  for (int round = 0; round < 20'000; ++round) {
    const auto before = live;
    ++generation;
    for (std::uint32_t i = rng.below(4); i > 0; --i) {
      const std::string name(1, static_cast<char>('a' + rng.below(12)));
      if (live.contains(name)) {
        registry.release(cluster, name);
        live.erase(name);
      } else if (const auto got = registry.assign(cluster, name)) {
        ASSERT_LT(got->id, limit);
        for (const auto& [other, ref] : live) ASSERT_NE(ref.id, got->id) << other;
        live.emplace(name, *got);
      } else {
        ASSERT_EQ(registry.live(cluster) + registry.leaving(cluster), limit);
      }
    }
    if (rng.below(3) == 0) {
      registry.rollback();
      live = before;
    } else {
      registry.commit(generation);
    }
    ASSERT_EQ(registry.live(cluster), live.size());
    for (const auto& [name, ref] : live) ASSERT_EQ(registry.find(cluster, name)->id, ref.id);
    if (rng.below(4) == 0) registry.collect(generation - rng.below(3), [&](auto&) { return rng.below(2) == 0; });
  }
}

}  // namespace
}  // namespace sluice::mgmt
