#include "l7/route/regex.h"

#include <gtest/gtest.h>
#include <hs.h>

namespace sluice::route {
namespace {

TEST(Regex, ReportsEveryExpressionThatCoversTheField) {
  std::vector<std::string> patterns;
  for (int i = 0; i < 100; ++i) patterns.push_back("x{" + std::to_string(i + 1) + "}");
  patterns.push_back("x*");
  patterns.push_back("(?i)XX");
  patterns.push_back("a|b|");
  DatabaseCache::Impl cache;
  auto database = cache.get(patterns);
  ASSERT_TRUE(database.has_value()) << database.error();
  hs_scratch* scratch = nullptr;
  ASSERT_EQ(hs_alloc_scratch((*database)->get(), &scratch), HS_SUCCESS);
  std::vector<std::uint64_t> bits((*database)->words());
  const auto matched = [&](const std::string& text) {
    const std::string padded = text + "..";
    (*database)->scan(std::string_view{padded}.substr(0, text.size()), bits, scratch);
    std::vector<int> out;
    for (int i = 0; i < static_cast<int>(patterns.size()); ++i)
      if (bits[static_cast<std::size_t>(i) / 64] >> (i % 64) & 1) out.push_back(i);
    return out;
  };
  EXPECT_EQ(matched("xx"), (std::vector{1, 100, 101}));
  EXPECT_EQ(matched(std::string(70, 'x')), (std::vector{69, 100}));
  EXPECT_EQ(matched(""), (std::vector{100, 102}));
  EXPECT_EQ(matched("b"), (std::vector{102}));
  EXPECT_EQ(matched("ab"), (std::vector<int>{}));
  EXPECT_EQ(matched("xx\n"), (std::vector<int>{})) << "the end is the end";
  hs_free_scratch(scratch);
}

TEST(Regex, FaultsSayWhere) {
  EXPECT_EQ(DatabaseCache::Impl::fault_of("/a[0-9]+", {}), "");
  EXPECT_NE(DatabaseCache::Impl::fault_of("ab(c", {}).find("index 2"), std::string::npos)
      << DatabaseCache::Impl::fault_of("ab(c", {});
}

}  // namespace
}  // namespace sluice::route
