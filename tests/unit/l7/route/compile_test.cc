#include "l7/route/compile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>

namespace sluice::route {
namespace {

using Match = spec::ValueMatch::Kind;
using Path = spec::PathMatch::Kind;

spec::Route route(std::uint32_t id, Path kind, std::string path) {
  spec::Route made;
  made.id = id;
  made.path = {kind, std::move(path)};
  made.clusters = {{id, 1}};
  return made;
}
spec::VirtualHost host(std::vector<std::string> names, std::vector<spec::Route> routes) {
  spec::VirtualHost made;
  made.hosts = std::move(names);
  made.routes = std::move(routes);
  return made;
}

std::string errors_of(const spec::Spec& spec, const CompileLimits& limits = {}) {
  DatabaseCache cache;
  auto table = compile(spec, cache, limits);
  std::string text;
  if (!table)
    for (const Error& error : table.error()) text += error.path + ": " + error.text + "\n";
  return text;
}

TEST(Compile, NothingIsATable) {
  EXPECT_EQ(errors_of({}), "");
  DatabaseCache cache;
  auto table = compile({}, cache);
  ASSERT_TRUE(table.has_value());
  Scratch scratch;
  EXPECT_TRUE(scratch.fit(*table));
  EXPECT_EQ(table->find({.host = "a", .path = "/", .query = {}, .method = "GET"}, scratch), nullptr);
}

TEST(Compile, EveryErrorIsNamedByItsPath) {
  spec::Route bad = route(1, Path::regex, "/a(b");
  bad.method = "G T";
  bad.headers = {{"x y", {Match::present, ""}}, {"x", {Match::regex, "a{2,1}"}}};
  bad.clusters = {{1, 0}};
  bad.redirect.emplace();
  bad.redirect->status = 200;
  bad.redirect->prefix = "/x";
  bad.request_fields = {{http::FieldEdit::Op::set, "a:b", "c\r\nd: e"}};
  const std::string text = errors_of(
      {{host({"a", "A", "*.b.*", "c:80", "d/e"}, {bad, route(2, Path::prefix, "api"), route(3, Path::exact, "/a?b")}),
        host({}, {})}});
  for (const char* expected :
       {"hosts[0].hosts[1]: \"A\" stands at hosts[0].hosts[0] already", "hosts[0].hosts[2]: ", "hosts[0].hosts[3]: ",
        "hosts[0].hosts[4]: ", "hosts[0].routes[0].path.value: the regular expression \"/a(b\" ",
        "hosts[0].routes[0].method: ", "hosts[0].routes[0].headers[0].name: ",
        "hosts[0].routes[0].headers[1].match.value: ", "hosts[0].routes[0]: needs exactly one of",
        "hosts[0].routes[0].clusters: the sum of the weights is 0", "hosts[0].routes[0].redirect.status: ",
        "hosts[0].routes[0].redirect.prefix: ", "hosts[0].routes[0].request_fields[0].name: ",
        "hosts[0].routes[0].request_fields[0].value: ", "hosts[0].routes[1].path.value: \"api\"",
        "hosts[0].routes[2].path.value: ", "hosts[1].hosts: names no host"})
    EXPECT_NE(text.find(expected), std::string::npos) << expected << "\nin\n" << text;
  EXPECT_EQ(std::ranges::count(text, '\n'), 17);
}

TEST(Compile, RegularExpressionsAreBounded) {
  const auto with = [](std::string pattern) {
    return spec::Spec{{host({"*"}, {route(1, Path::regex, std::move(pattern))})}};
  };
  EXPECT_EQ(errors_of(with("/a{3}[a-z]{1,40}(b|c)*")), "");
  EXPECT_NE(errors_of(with("/(a)\\1")), "") << "no back-references";
  EXPECT_NE(errors_of(with("/a)b")).find("index 2"), std::string::npos) << "the position is the operator's";
  EXPECT_NE(errors_of(with("")).find("is empty"), std::string::npos);
  EXPECT_NE(errors_of(with(std::string(2000, 'a'))).find("2000 bytes"), std::string::npos);
  EXPECT_NE(errors_of(with("(a{100}){100}")).find("10000 states"), std::string::npos);
  EXPECT_NE(errors_of(with("a)|(b")), "") << "no parenthesis reaches out of its group";
  EXPECT_NE(errors_of(with("(*UTF8)a")).find("control verb"), std::string::npos);
  EXPECT_NE(
      errors_of({{host({"*"}, {route(1, Path::regex, "/a"), route(2, Path::regex, "/b")})}}, {.patterns_per_field = 1})
          .find("2 regular expressions over the path, the limit is 1"),
      std::string::npos);
}

TEST(Compile, EqualSetsOfExpressionsAreCompiledOnce) {
  DatabaseCache cache;
  const auto spec = [](std::string third) {
    spec::Spec made;
    for (int i = 0; i < 50; ++i)
      made.hosts.push_back(
          host({"h" + std::to_string(i)}, {route(1, Path::regex, "/a.*"), route(2, Path::regex, "/b.*")}));
    made.hosts[7].routes.push_back(route(3, Path::regex, std::move(third)));
    return made;
  };
  {
    auto first = compile(spec("/c"), cache);
    ASSERT_TRUE(first.has_value());
    EXPECT_EQ(cache.compiled(), 2u);
    auto second = compile(spec("/d"), cache);
    ASSERT_TRUE(second.has_value());
    EXPECT_EQ(cache.compiled(), 3u) << "across generations too";
    EXPECT_EQ(cache.size(), 3u);
  }
  EXPECT_EQ(cache.size(), 0u) << "no table, no database";
}

TEST(Compile, ScratchesFitEveryTable) {
  DatabaseCache cache;
  spec::Spec one{{host({"*"}, {route(1, Path::regex, "/a+")})}}, two = one;
  for (int i = 0; i < 200; ++i) two.hosts[0].routes.push_back(route(2, Path::regex, "/b" + std::to_string(i) + ".*x"));
  auto a = compile(one, cache), b = compile(two, cache);
  ASSERT_TRUE(a && b);
  const Table* tables[] = {&*a, &*b};
  std::vector<Scratch> scratches = make_scratches(tables, 3);
  ASSERT_EQ(scratches.size(), 3u);
  for (Scratch& scratch : scratches) {
    EXPECT_EQ(a->find({.host = "h", .path = "/aaa", .query = {}, .method = "GET"}, scratch)->id, 1u);
    EXPECT_EQ(b->find({.host = "h", .path = "/b199zzx", .query = {}, .method = "GET"}, scratch)->id, 2u);
    EXPECT_EQ(b->find({.host = "h", .path = "/b199zz", .query = {}, .method = "GET"}, scratch), nullptr);
  }
}

// Half in one host, half in hosts of their own; exact, prefix, and variants by header.
TEST(Compile, HundredThousandRoutes) {
  spec::Spec spec;
  spec.hosts.push_back(host({"big.example.com"}, {}));
  std::uint32_t id = 0;
  for (int i = 0; i < 50'000; ++i) {
    const std::string path = "/service/" + std::to_string(i % 100) + "/object/" + std::to_string(i);
    spec.hosts[0].routes.push_back(route(++id, i % 2 ? Path::exact : Path::prefix, path));
    spec::Route own = route(++id, Path::prefix, "/api");
    own.headers = {{"x-canary", {Match::exact, "yes"}}};
    spec.hosts.push_back(host({"h" + std::to_string(i) + ".example.com"}, {own}));
  }
  DatabaseCache cache;
  const std::clock_t start = std::clock();  // of this process: what else the machine does is no matter
  auto table = compile(spec, cache);
  const double took = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  ASSERT_TRUE(table.has_value());
  EXPECT_EQ(table->route_count(), 100'000u);
  EXPECT_LT(took, 30.0) << "seconds, also in a sanitizer build";
  EXPECT_LT(table->bytes(), 64u << 20);
  RecordProperty("compile_ms", static_cast<int>(took * 1e3));
  RecordProperty("bytes", static_cast<int>(table->bytes()));
  Scratch scratch;
  ASSERT_TRUE(scratch.fit(*table));
  for (int i : {0, 1, 777, 49'998, 49'999}) {
    const std::string path = "/service/" + std::to_string(i % 100) + "/object/" + std::to_string(i);
    const Route* found = table->find({.host = "big.example.com", .path = path, .query = {}, .method = "GET"}, scratch);
    ASSERT_NE(found, nullptr) << path;
    EXPECT_EQ(found->id, static_cast<std::uint32_t>(2 * i + 1));
    const std::string below = path + "/x";
    EXPECT_EQ(table->find({.host = "big.example.com", .path = below, .query = {}, .method = "GET"}, scratch) != nullptr,
              i % 2 == 0);
    const std::string own = "h" + std::to_string(i) + ".example.com";
    EXPECT_EQ(table->find({.host = own, .path = "/api/x", .query = {}, .method = "GET"}, scratch), nullptr)
        << "the header is not there";
  }
}

}  // namespace
}  // namespace sluice::route
