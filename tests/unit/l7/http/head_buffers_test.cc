#include "l7/http/head_buffers.h"

#include <gtest/gtest.h>

#include <cstring>

namespace sluice::http {
namespace {

TEST(HeadBuffers, SmallFirstThenLargeThenNothing) {
  HeadBuffers buffers{1, 2};
  {
    HeadBuffer small = buffers.take(HeadBuffers::small_size), next = buffers.take(1),
               large = buffers.take(HeadBuffers::large_size);
    EXPECT_EQ(small.size(), HeadBuffers::small_size);
    EXPECT_EQ(next.size(), HeadBuffers::large_size) << "a small one is taken from the large when there is no other";
    ASSERT_TRUE(large);
    EXPECT_FALSE(buffers.take(1));
    EXPECT_EQ(buffers.small_free() + buffers.large_free(), 0u);
    for (HeadBuffer* each : {&small, &next, &large}) std::memset(each->data(), 'x', each->size());  // to the last byte
    HeadBuffer moved = std::move(large);
    EXPECT_FALSE(large);
    moved = std::move(next);
    EXPECT_EQ(buffers.large_free(), 1u) << "what it held went back";
  }
  EXPECT_EQ(buffers.small_free(), 1u);
  EXPECT_EQ(buffers.large_free(), 2u);
}

}  // namespace
}  // namespace sluice::http
