#include "dataplane/base/pool.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

struct Thing {
  explicit Thing(int v) : value(v) { ++alive; }
  ~Thing() { --alive; }
  int value;
  static inline int alive = 0;
};

TEST(Pool, AFullPoolRefusesAndAStaleHandleMisses) {
  {
    Pool<Thing> pool{2};
    Thing* a = pool.make(1);
    Thing* b = pool.make(2);
    ASSERT_TRUE(a && b);
    EXPECT_EQ(pool.make(3), nullptr);
    const auto stale = pool.handle(a);
    EXPECT_EQ(pool.find(stale), a);
    pool.free(a);
    EXPECT_EQ(pool.find(stale), nullptr);
    Thing* c = pool.make(4);
    EXPECT_EQ(pool.index_of(c), stale.index);
    EXPECT_EQ(pool.find(stale), nullptr) << "the slot is in use again, the old handle must still miss";
    EXPECT_EQ(pool.find(Handle<Thing>{}), nullptr);
    EXPECT_EQ(pool.find(Handle<Thing>::from_bits(pool.handle(c).bits())), c);
    EXPECT_EQ(Thing::alive, 2);
  }
  EXPECT_EQ(Thing::alive, 0);
}

TEST(Pool, ZeroBitsNameNothing) {
  Pool<Thing> pool{2};
  EXPECT_EQ(pool.find(Handle<Thing>::from_bits(0)), nullptr) << "of a slot that was never used";
  pool.free(pool.make(1));
  EXPECT_EQ(pool.find(Handle<Thing>::from_bits(0)), nullptr);
}

TEST(Pool, EmptyPoolIsAlwaysFull) {
  Pool<Thing> pool{0};
  EXPECT_EQ(pool.make(1), nullptr);
  EXPECT_TRUE(pool.full());
}

}  // namespace
}  // namespace sluice
