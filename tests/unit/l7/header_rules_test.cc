#include "l7/header_rules.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

using http::FieldEdit;
using http::HeadBuffers;

TEST(HeaderRules, OutliveWhatTheyWereCopiedFrom) {
  HeadBuffers heads{1, 0};
  HeaderRules rules;
  {
    std::vector<std::string> texts{"X-Trace", "on", "Server", "Cookie", ""};
    const FieldEdit edits[] = {http::field_edit(FieldEdit::Op::set, texts[0], texts[1]),
                               http::field_edit(FieldEdit::Op::remove, texts[2]),
                               http::field_edit(FieldEdit::Op::append, texts[3], texts[4])};
    ASSERT_TRUE(rules.copy(edits, heads));
    for (std::string& text : texts) std::fill(text.begin(), text.end(), '!');
  }
  ASSERT_EQ(rules.edits().size(), 3u);
  EXPECT_EQ(rules.edits()[0].op, FieldEdit::Op::set);
  EXPECT_EQ(rules.edits()[0].name, "X-Trace");
  EXPECT_EQ(rules.edits()[0].value, "on");
  EXPECT_EQ(rules.edits()[1].op, FieldEdit::Op::remove);
  EXPECT_EQ(rules.edits()[1].known, http::known_field("server"));
  EXPECT_EQ(rules.edits()[1].name, "Server");
  EXPECT_EQ(rules.edits()[2].op, FieldEdit::Op::append);
  EXPECT_EQ(rules.edits()[2].value, "");
}

TEST(HeaderRules, NoRulesTakeNoBuffer) {
  HeadBuffers heads{1, 0};
  HeaderRules rules;
  EXPECT_TRUE(rules.copy({}, heads));
  EXPECT_EQ(heads.small_free(), 1u);
  EXPECT_TRUE(rules.edits().empty());
}

TEST(HeaderRules, CopyingAgainGivesTheFormerBufferBack) {
  HeadBuffers heads{1, 0};
  HeaderRules rules;
  const FieldEdit edit = http::field_edit(FieldEdit::Op::set, "A", "b");
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(rules.copy({&edit, 1}, heads));
  EXPECT_EQ(heads.small_free(), 0u);
  ASSERT_TRUE(rules.copy({}, heads));
  EXPECT_EQ(heads.small_free(), 1u);
}

TEST(HeaderRules, WithoutABufferThereAreNone) {
  HeadBuffers heads{1, 0};
  HeaderRules first, second;
  const FieldEdit edit = http::field_edit(FieldEdit::Op::set, "A", "b");
  ASSERT_TRUE(first.copy({&edit, 1}, heads));
  EXPECT_FALSE(second.copy({&edit, 1}, heads));
  EXPECT_TRUE(second.edits().empty());
  EXPECT_EQ(first.edits()[0].value, "b");
  const std::string huge(HeadBuffers::large_size, 'x');
  HeadBuffers large{0, 1};
  const FieldEdit whole = http::field_edit(FieldEdit::Op::set, "A", huge);
  EXPECT_FALSE(second.copy({&whole, 1}, large));
  EXPECT_EQ(large.large_free(), 1u);
}

}  // namespace
}  // namespace sluice
