#include "mgmt/version.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::mgmt {
namespace {

TEST(Version, SaysWhatItIsAndWhatItIsMadeOf) {
  EXPECT_THAT(version_text(), testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
  EXPECT_FALSE(commit_text().empty());
  for (const char* part : {"DPDK", "OpenSSL", "yperscan"})
    EXPECT_THAT(version_report(), testing::HasSubstr(part)) << version_report();
  EXPECT_THAT(version_report(), testing::HasSubstr(version_text()));
}

}  // namespace
}  // namespace sluice::mgmt
