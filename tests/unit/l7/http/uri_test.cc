#include "l7/http/uri.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice::http {
namespace {

std::string normal(std::string_view path, const PathPolicy& policy = {}) {
  std::string buffer(path.size(), '?');
  const auto out = normalise_path(path, policy, buffer);
  if (!out) return "refused";
  if (path_is_normal(path, policy)) { EXPECT_EQ(*out, path) << "called normal, yet it changes"; }
  std::string again(out->size(), '?');
  EXPECT_EQ(normalise_path(*out, policy, again), *out) << "twice is not once: " << path;
  return std::string{*out};
}

// RFC 3986 5.2.4 and 6.2.2.
TEST(NormalisePath, ByRfc3986) {
  EXPECT_EQ(normal("/a/b/c/./../../g"), "/a/g");
  EXPECT_EQ(normal("/mid/content=5/../6"), "/mid/6");
  EXPECT_EQ(normal("/"), "/");
  EXPECT_EQ(normal("/."), "/");
  EXPECT_EQ(normal("/.."), "/");
  EXPECT_EQ(normal("/a/.."), "/");
  EXPECT_EQ(normal("/a/b/.."), "/a/");
  EXPECT_EQ(normal("/a/."), "/a/");
  EXPECT_EQ(normal("/../../a"), "/a");
  EXPECT_EQ(normal("/.a/..b/c..//..."), "/.a/..b/c../...");
  EXPECT_EQ(normal("/%7euser/%41%2d"), "/~user/A-");
  EXPECT_EQ(normal("/%3a%c3%a4"), "/%3A%C3%A4");
  EXPECT_EQ(normal("/a/%2e%2E/b"), "/b") << "dots are found behind their encoding";
  EXPECT_EQ(normal("/%252e"), "/%252e") << "decoded once, not twice";
  for (const char* bad : {"/%", "/%4", "/%4x", "/%x4", "/a%", "/%00"}) EXPECT_EQ(normal(bad), "refused") << bad;
  EXPECT_EQ(normal("*"), "*");
  EXPECT_EQ(normal(""), "");
}

TEST(NormalisePath, SlashPolicies) {
  EXPECT_EQ(normal("//a///b//"), "/a/b/");
  EXPECT_EQ(normal("//a//b", {.merge_slashes = false}), "//a//b");
  EXPECT_EQ(normal("/a%2fb"), "/a%2Fb");
  EXPECT_EQ(normal("/a%2f..%2Fb", {.encoded_slash = EncodedSlash::decode}), "/b");
  EXPECT_EQ(normal("/a%2fb", {.encoded_slash = EncodedSlash::reject}), "refused");
  EXPECT_EQ(normal("/a%5Cb", {.encoded_slash = EncodedSlash::reject}), "refused");
  EXPECT_EQ(normal("/a\\b", {.encoded_slash = EncodedSlash::reject}), "refused");
  EXPECT_EQ(normal("/a/../%7e//b", {.normalise = false}), "/a/../%7e/b");
}

TEST(SplitAuthority, HostAndPort) {
  EXPECT_EQ(split_authority("a.b")->host, "a.b");
  EXPECT_EQ(split_authority("a:80")->port, 80);
  EXPECT_EQ(split_authority("a:")->port, 0);
  EXPECT_EQ(split_authority("[2001:db8::1]:65535")->host, "[2001:db8::1]");
  EXPECT_EQ(split_authority("[::1]:65535")->port, 65535);
  for (const char* bad :
       {"", ":80", "a:65536", "a:8a", "a b", "u@a", "[::1", "[]", "[g::]", "[::1]x", "a:1:2", "a/b", "::1"})
    EXPECT_FALSE(split_authority(bad)) << bad;
}

TEST(SplitTarget, AbsoluteForms) {
  const auto target = split_target("HTTPS://a:1/p/q?r?s", Method::get);
  ASSERT_TRUE(target);
  EXPECT_EQ(target->form, TargetForm::absolute);
  EXPECT_EQ(target->scheme, "HTTPS");
  EXPECT_EQ(target->authority, "a:1");
  EXPECT_EQ(target->path, "/p/q");
  EXPECT_EQ(target->query, "r?s");
  EXPECT_EQ(split_target("http://a", Method::get)->path, "/");
  EXPECT_EQ(split_target("http://a", Method::options)->path, "*");
  for (const char* bad : {"", "a", "http:/a", "http://", "http:///p", "//a b", "ws://a/", "/a#b", "/\x7f"})
    EXPECT_FALSE(split_target(bad, Method::get)) << bad;
}

TEST(QueryValue, TheFirstOfAName) {
  EXPECT_EQ(query_value("a=1&b=2&a=3", "a"), "1");
  EXPECT_EQ(query_value("a=1&b=2", "b"), "2");
  EXPECT_EQ(query_value("a=1=2", "a"), "1=2");
  EXPECT_EQ(query_value("flag&x", "flag"), "");
  EXPECT_EQ(query_value("&&a=", "a"), "");
  EXPECT_EQ(query_value("ab=1", "a"), std::nullopt);
  EXPECT_EQ(query_value("", "a"), std::nullopt);
}

}  // namespace
}  // namespace sluice::http
