#include "dataplane/base/counters.h"

#include <gtest/gtest.h>

#include <cctype>
#include <set>
#include <string_view>

namespace sluice {
namespace {

TEST(Counters, EveryOneHasANameOfItsOwnAUnitAndHelp) {
  std::set<std::string_view> names;
  for (const CounterInfo& info : counter_info) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    for (const char c : info.name) EXPECT_TRUE(std::islower(c) || std::isdigit(c) || c == '_') << info.name;
    EXPECT_FALSE(info.unit.empty()) << info.name;
    EXPECT_FALSE(info.help.empty()) << info.name;
    EXPECT_EQ(info.help.find_first_of("\n\\|"), std::string_view::npos)
        << info.name << ": a table and an exposition hold it";
  }
}

TEST(Counters, CellsAreApartAndGaugesGoDown) {
  Counters counters;
  const auto first = static_cast<Counter>(0), last = static_cast<Counter>(counter_count - 1);
  counters.add(first);
  counters.add(first, 4);
  counters.sub(first, 2);
  counters.set(last, 9);
  EXPECT_EQ(counters.get(first), 3u);
  EXPECT_EQ(counters.get(last), 9u);
  for (std::size_t i = 1; i + 1 < counter_count; ++i) EXPECT_EQ(counters.get(static_cast<Counter>(i)), 0u) << i;
}

}  // namespace
}  // namespace sluice
