#include "crypto/tls/identity.h"

#include <gtest/gtest.h>

namespace sluice::tls {
namespace {

std::optional<std::uint32_t> find(const NameTable& table, std::string_view name) {
  const auto normal = normal_name(name);
  return normal ? table.find(*normal) : std::nullopt;
}

TEST(Identity, ExactComesBeforeWildcardAndAWildcardIsOneLabel) {
  NameTable table;
  EXPECT_TRUE(table.add("*.example.com", 1));
  EXPECT_TRUE(table.add("www.Example.com", 2));
  EXPECT_TRUE(table.add("example.com", 3));
  EXPECT_TRUE(table.add("*.b.example.com", 4));
  EXPECT_FALSE(table.add("WWW.example.com", 5)) << "twice";
  table.finish();
  EXPECT_EQ(find(table, "www.example.com"), 2u);
  EXPECT_EQ(find(table, "WWW.EXAMPLE.COM"), 2u);
  EXPECT_EQ(find(table, "www.example.com."), 2u);
  EXPECT_EQ(find(table, "other.example.com"), 1u);
  EXPECT_EQ(find(table, "example.com"), 3u);
  EXPECT_EQ(find(table, "a.b.example.com"), 4u);
  EXPECT_EQ(find(table, "x.a.b.example.com"), std::nullopt);
  EXPECT_EQ(find(table, "b.example.com"), 1u);
  EXPECT_EQ(find(table, "com"), std::nullopt);
  EXPECT_EQ(find(table, "example.org"), std::nullopt);
}

TEST(Identity, WhatIsNoHostNameIsRefused) {
  EXPECT_FALSE(normal_name(""));
  EXPECT_FALSE(normal_name("."));
  EXPECT_FALSE(normal_name(".example.com"));
  EXPECT_FALSE(normal_name("a..b"));
  EXPECT_FALSE(normal_name("*.example.com"));
  EXPECT_FALSE(normal_name("exa mple.com"));
  EXPECT_FALSE(normal_name(std::string(64, 'a') + ".com"));
  EXPECT_TRUE(normal_name(std::string(63, 'a') + ".com"));
  std::string longest;
  while (longest.size() < 252) longest += "a.";
  EXPECT_TRUE(normal_name(longest + "b"));
  EXPECT_FALSE(normal_name(longest + "bb"));
  NameTable table;
  EXPECT_FALSE(table.add("*", 0));
  EXPECT_FALSE(table.add("a.*.com", 0));
  EXPECT_FALSE(table.add("*.*.com", 0));
}

}  // namespace
}  // namespace sluice::tls
