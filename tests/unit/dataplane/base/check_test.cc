#include "dataplane/base/check.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(CheckDeathTest, WhatMustBeTrueDiesAtItsPlaceWhenItIsNot) {
  int evaluated = 0;
  CHECK(++evaluated == 1);
  EXPECT_EQ(evaluated, 1);
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(CHECK(evaluated == 2), testing::KilledBySignal(SIGABRT),
              "check_test\\.cc:[0-9]+: CHECK failed: evaluated == 2");
}

}  // namespace
}  // namespace sluice
