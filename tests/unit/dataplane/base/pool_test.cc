#include "dataplane/base/pool.h"

#include <gtest/gtest.h>

#include <vector>

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

// The same of a type that has room for its generation.
struct Marked {
  std::uint32_t value = 0;
  std::uint32_t pool_generation;
};
static_assert(HasGeneration<Marked> && !HasGeneration<Thing>);

TEST(Pool, AGenerationInTheObjectOutlivesIt) {
  Pool<Marked> pool{2};
  EXPECT_EQ(pool.find(Handle<Marked>::from_bits(0)), nullptr);
  EXPECT_FALSE(pool.live(0));
  std::vector<Handle<Marked>> stale;
  for (std::uint32_t i = 0; i < 5; ++i) {
    Marked* object = pool.make(Marked{.value = i});
    ASSERT_TRUE(object);
    const auto handle = pool.handle(object);
    EXPECT_EQ(handle.index, 0u) << "the last that was given back";
    EXPECT_EQ(pool.find(handle)->value, i);
    for (const auto& old : stale) EXPECT_EQ(pool.find(old), nullptr);
    pool.free(object);
    EXPECT_EQ(pool.find(handle), nullptr);
    EXPECT_FALSE(pool.live(0));
    stale.push_back(handle);
  }
  Marked* first = pool.make();
  Marked* second = pool.make();
  EXPECT_TRUE(first && second && !pool.make());
  unsigned count = 0;
  pool.each([&](Marked&) { ++count; });
  EXPECT_EQ(count, 2u);
}

// What somebody else keeps of a slot is there from its first object on and outlives that.
TEST(Pool, ATailStaysWhenItsObjectGoes) {
  struct Tail {
    std::uint32_t value = 7;
  };
  Pool<Thing, Tail> pool{2};
  static_assert(Pool<Thing, Tail>::stride() == 64);
  const auto tail = [&](std::uint32_t index) -> Tail& {
    return *reinterpret_cast<Tail*>(pool.first_tail() + index * pool.stride());
  };
  Thing* object = pool.make(1);
  const std::uint32_t index = pool.index_of(object);
  EXPECT_EQ(tail(index).value, 7u);
  tail(index).value = 8;
  pool.free(object);
  EXPECT_EQ(tail(index).value, 8u);
  object = pool.make(2);
  EXPECT_EQ(pool.index_of(object), index);
  EXPECT_EQ(tail(index).value, 8u);
  EXPECT_EQ(object->value, 2);
  EXPECT_EQ(tail(pool.index_of(pool.make(3))).value, 7u);
}

TEST(Pool, EmptyPoolIsAlwaysFull) {
  Pool<Thing> pool{0};
  EXPECT_EQ(pool.make(1), nullptr);
  EXPECT_TRUE(pool.full());
}

}  // namespace
}  // namespace sluice
