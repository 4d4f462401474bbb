#include "mgmt/ctl/table.h"

#include <gtest/gtest.h>

namespace sluice::ctl {
namespace {

TEST(Table, AlignsAndTrims) {
  Table table{{{"NAME"}, {"N", Table::Align::right}, {"LAST"}}};
  table.row({"a", "10,000", ""});
  table.row({"longer", "7", "x"});
  EXPECT_EQ(table.text(), "NAME         N  LAST\na       10,000\nlonger       7  x\n");
}

TEST(Table, NothingWithoutARow) { EXPECT_EQ(Table{{{"A"}}}.text(), ""); }

TEST(Table, Numbers) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(18446744073709551615ull), "18,446,744,073,709,551,615");
}

TEST(Table, Durations) {
  EXPECT_EQ(duration_text(12), "12ms");
  EXPECT_EQ(duration_text(1500), "1.500s");
  EXPECT_EQ(duration_text(125'000), "2m 5s");
  EXPECT_EQ(duration_text(3'660'000), "1h 1m");
  EXPECT_EQ(duration_text(3ull * 86'400'000 + 4ull * 3'600'000), "3d 4h");
}

}  // namespace
}  // namespace sluice::ctl
