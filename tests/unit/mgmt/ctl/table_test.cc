#include "mgmt/ctl/table.h"

#include <gtest/gtest.h>

namespace sluice::ctl {
namespace {

TEST(Table, AlignsColumnsAndLeavesNoBlanksAtTheEnd) {
  Table table{{{"name"}, {"packets", Table::Align::right}, {"note"}}};
  EXPECT_TRUE(table.empty());
  EXPECT_EQ(table.text(), "");
  table.row({"eth0", "7", ""});
  table.row({"a-longer-one", "1,234,567", "x"});
  EXPECT_EQ(table.text(),
            "name            packets  note\n"
            "eth0                  7\n"
            "a-longer-one  1,234,567  x\n");
}

TEST(Grouped, ByThousands) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(18'446'744'073'709'551'615u), "18,446,744,073,709,551,615");
}

TEST(DurationText, TheTwoLargestUnits) {
  EXPECT_EQ(duration_text(0), "0ms");
  EXPECT_EQ(duration_text(999), "999ms");
  EXPECT_EQ(duration_text(1'500), "1.500s");
  EXPECT_EQ(duration_text(125'000), "2m 5s");
  EXPECT_EQ(duration_text(3'600'000), "1h 0m");
  EXPECT_EQ(duration_text((3ull * 24 + 4) * 3'600'000), "3d 4h");
}

}  // namespace
}  // namespace sluice::ctl
