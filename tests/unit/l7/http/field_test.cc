#include "l7/http/field.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice::http {
namespace {

TEST(KnownField, EveryNameIsFoundInAnyCaseAndNoOther) {
  for (std::size_t i = 1; i < known_count; ++i) {
    const auto known = static_cast<Known>(i);
    std::string name{known_text(known)};
    EXPECT_EQ(known_field(name), known);
    std::string upper = name;
    for (char& c : upper)
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 0x20);
    EXPECT_EQ(known_field(upper), known);
    for (std::size_t at = 0; at < name.size(); ++at) {
      std::string other = name;
      other[at] = other[at] == 'q' ? 'z' : 'q';
      EXPECT_NE(known_field(other), known) << other;
    }
    EXPECT_EQ(known_field(name + "x"), Known::other);
    EXPECT_NE(known_field(name.substr(1)), known);
  }
  EXPECT_EQ(known_field(""), Known::other);
  EXPECT_EQ(known_field("x"), Known::other);
}

TEST(KnownSet, OtherIsInNoSet) {
  KnownSet set{Known::host, Known::early_data, Known::other};
  EXPECT_TRUE(set.has(Known::host));
  EXPECT_TRUE(set.has(Known::early_data));
  EXPECT_FALSE(set.has(Known::te));
  EXPECT_FALSE(set.has(Known::other));
}

TEST(ListHas, ElementsAreTrimmedAndCaseDoesNotMatter) {
  EXPECT_TRUE(list_has("close", "close"));
  EXPECT_TRUE(list_has("a ,\tCLOSE\t, b", "close"));
  EXPECT_TRUE(list_has(",,close,", "close"));
  EXPECT_FALSE(list_has("", "close"));
  EXPECT_FALSE(list_has("closed, xclose, clo se", "close"));
}

TEST(FieldArray, FindsTheFirstOfAName) {
  const std::string text = "Host1Cookie2x-a3COOKIE4";
  FieldArray<4> fields;
  fields.clear(text.data());
  EXPECT_TRUE(fields.push({0, 4, 4, 1, Known::host}));
  EXPECT_TRUE(fields.push({5, 6, 11, 1, Known::cookie}));
  EXPECT_TRUE(fields.push({12, 3, 15, 1, Known::other}));
  EXPECT_TRUE(fields.push({16, 6, 22, 1, Known::cookie}));
  EXPECT_FALSE(fields.push({16, 6, 22, 1, Known::cookie}));
  EXPECT_EQ(fields.value(Known::cookie), "2");
  EXPECT_EQ(fields.value(*fields.find("HOST")), "1");
  EXPECT_EQ(fields.value(*fields.find("X-A")), "3");
  EXPECT_EQ(fields.find("x-b"), nullptr);
  EXPECT_EQ(fields.find(Known::te), nullptr);
  EXPECT_EQ(fields.value(Known::te), "");
}

}  // namespace
}  // namespace sluice::http
