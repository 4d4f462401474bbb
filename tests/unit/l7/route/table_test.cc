#include "l7/route/table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <regex>

#include "dataplane/base/rng.h"
#include "l7/http/h1_head.h"
#include "l7/http/uri.h"
#include "l7/route/compile.h"

namespace sluice::route {
namespace {

using Match = spec::ValueMatch::Kind;
using Path = spec::PathMatch::Kind;

struct Routes {
  DatabaseCache cache;
  Scratch scratch;
  std::unique_ptr<Table> table;

  explicit Routes(const spec::Spec& spec) {
    auto compiled = compile(spec, cache);
    for (const Error& error : compiled ? std::vector<Error>{} : compiled.error())
      ADD_FAILURE() << error.path << ": " << error.text;
    if (!compiled) return;
    table = std::make_unique<Table>(std::move(*compiled));
    EXPECT_TRUE(scratch.fit(*table));
  }
  // The id of the route, 0 for none.
  std::uint32_t find(const std::string& method, const std::string& host, const std::string& target,
                     const std::vector<std::pair<std::string, std::string>>& fields = {}) {
    std::string text = method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n";
    for (const auto& [name, value] : fields) text += name + ": " + value + "\r\n";
    text += "\r\n";
    http::Head head;
    EXPECT_EQ(http::parse_request(text.data(), static_cast<std::uint32_t>(text.size()),
                                  static_cast<std::uint32_t>(text.size()), {}, head),
              http::Fault::none);
    const Route* route = table->find(view_of(head), scratch);
    return route ? route->id : 0;
  }
  std::uint32_t get(const std::string& host, const std::string& target,
                    const std::vector<std::pair<std::string, std::string>>& fields = {}) {
    return find("GET", host, target, fields);
  }
};

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
spec::HeaderMatch header(std::string name, Match kind, std::string value = "", bool invert = false) {
  return {std::move(name), {kind, std::move(value), invert}};
}

TEST(Table, HostsExactThenLongestSuffixThenAny) {
  Routes routes{{{host({"www.example.com", "Alias.org"}, {route(1, Path::prefix, "/")}),
                  host({"*.example.com"}, {route(2, Path::prefix, "/")}),
                  host({"*.a.example.com"}, {route(3, Path::prefix, "/")}), host({"*"}, {route(4, Path::prefix, "/")}),
                  host({"[::1]"}, {route(5, Path::prefix, "/")})}}};
  EXPECT_EQ(routes.get("www.example.com", "/"), 1u);
  EXPECT_EQ(routes.get("WWW.Example.COM:8080", "/"), 1u);
  EXPECT_EQ(routes.get("www.example.com.", "/"), 1u);
  EXPECT_EQ(routes.get("alias.org", "/"), 1u);
  EXPECT_EQ(routes.get("other.example.com", "/"), 2u);
  EXPECT_EQ(routes.get("x.y.example.com", "/"), 2u);
  EXPECT_EQ(routes.get("x.a.example.com", "/"), 3u);
  EXPECT_EQ(routes.get("a.example.com", "/"), 2u) << "the suffix alone has no label in front of it";
  EXPECT_EQ(routes.get("example.com", "/"), 4u);
  EXPECT_EQ(routes.get(".example.com", "/"), 4u);
  EXPECT_EQ(routes.get("evilexample.com", "/"), 4u);
  EXPECT_EQ(routes.get("[::1]:80", "/"), 5u);
  EXPECT_EQ(routes.get("[::1]", "/"), 5u);
  EXPECT_EQ(routes.get(std::string(300, 'a'), "/"), 4u);
}

TEST(Table, NoFallingBackFromAHost) {
  Routes routes{{{host({"a"}, {route(1, Path::exact, "/x")}), host({"*"}, {route(2, Path::prefix, "/")})}}};
  EXPECT_EQ(routes.get("a", "/x"), 1u);
  EXPECT_EQ(routes.get("a", "/y"), 0u);
  EXPECT_EQ(routes.get("b", "/y"), 2u);
}

TEST(Table, PrefixesAreWholeSegments) {
  Routes routes{{{host(
      {"*"}, {route(1, Path::prefix, "/api"), route(2, Path::prefix, "/api/v1/"), route(3, Path::prefix, "/")})}}};
  EXPECT_EQ(routes.get("a", "/api"), 1u);
  EXPECT_EQ(routes.get("a", "/api/"), 1u);
  EXPECT_EQ(routes.get("a", "/api?x=/apix"), 1u);
  EXPECT_EQ(routes.get("a", "/api/x/y"), 1u);
  EXPECT_EQ(routes.get("a", "/apix"), 3u);
  EXPECT_EQ(routes.get("a", "/API"), 3u);
  EXPECT_EQ(routes.get("a", "/api/v1"), 2u);
  EXPECT_EQ(routes.get("a", "/api/v1/z"), 2u);
  EXPECT_EQ(routes.get("a", "/api/v11"), 1u);
  EXPECT_EQ(routes.find("OPTIONS", "a", "*"), 3u);
  EXPECT_EQ(routes.find("CONNECT", "a:1", "a:1"), 3u);
}

TEST(Table, ExactThenRegexThenLongestPrefix) {
  Routes routes{
      {{host({"*"}, {route(1, Path::prefix, "/"), route(2, Path::prefix, "/a/b"), route(3, Path::regex, "/a/[0-9]+"),
                     route(4, Path::exact, "/a/7"), route(5, Path::regex, "/A|/q.*")})}}};
  EXPECT_EQ(routes.get("a", "/a/7"), 4u);
  EXPECT_EQ(routes.get("a", "/a/8"), 3u);
  EXPECT_EQ(routes.get("a", "/a/8/"), 1u) << "an expression covers the whole path";
  EXPECT_EQ(routes.get("a", "/x/a/8"), 1u);
  EXPECT_EQ(routes.get("a", "/a/b"), 2u);
  EXPECT_EQ(routes.get("a", "/A"), 5u);
  EXPECT_EQ(routes.get("a", "/A/x"), 1u) << "an alternative is anchored too";
  EXPECT_EQ(routes.get("a", "/q/anything?x"), 5u);
}

TEST(Table, HeaderMatches) {
  const auto only = [](spec::HeaderMatch match) {
    spec::Route made = route(1, Path::prefix, "/");
    made.headers = {std::move(match)};
    return spec::Spec{{host({"*"}, {made})}};
  };
  const auto hits = [&](spec::HeaderMatch match, const std::string& value) {
    Routes routes{only(match)};
    EXPECT_EQ(routes.get("a", "/"), match.match.kind == Match::absent || match.match.invert ? 1u : 0u)
        << "without the field";
    return routes.get("a", "/", {{"X-Canary", value}}) == 1;
  };
  EXPECT_TRUE(hits(header("x-canary", Match::exact, "yes"), "yes"));
  EXPECT_FALSE(hits(header("x-canary", Match::exact, "yes"), "Yes"));
  EXPECT_TRUE(hits(header("X-CANARY", Match::prefix, "ye"), "yes"));
  EXPECT_FALSE(hits(header("x-canary", Match::prefix, "es"), "yes"));
  EXPECT_TRUE(hits(header("x-canary", Match::suffix, "es"), "yes"));
  EXPECT_FALSE(hits(header("x-canary", Match::suffix, "ye"), "yes"));
  EXPECT_TRUE(hits(header("x-canary", Match::contains, "e"), "yes"));
  EXPECT_FALSE(hits(header("x-canary", Match::contains, "a"), "yes"));
  EXPECT_TRUE(hits(header("x-canary", Match::regex, "y(es)?"), "yes"));
  EXPECT_FALSE(hits(header("x-canary", Match::regex, "y(es)?"), "yess"));
  EXPECT_TRUE(hits(header("x-canary", Match::regex, ".*"), ""));
  EXPECT_FALSE(hits(header("x-canary", Match::regex, ".+"), ""));
  EXPECT_TRUE(hits(header("x-canary", Match::present), ""));
  EXPECT_FALSE(hits(header("x-canary", Match::absent), "yes"));
  EXPECT_FALSE(hits(header("x-canary", Match::exact, "yes", true), "yes"));
  EXPECT_TRUE(hits(header("x-canary", Match::regex, "y.*", true), "no"));
  EXPECT_TRUE(hits(header("X-Canary", Match::exact, "first"), "first\r\nX-Canary: second"))
      << "the first field decides";
}

TEST(Table, MethodsAndQueries) {
  spec::Route post = route(1, Path::prefix, "/"), query = route(2, Path::prefix, "/"),
              rest = route(3, Path::prefix, "/");
  post.method = "POST";
  query.queries = {{"v", {Match::exact, "1"}}, {"w", {Match::regex, "[a-c]+"}}};
  Routes routes{{{host({"*"}, {rest, query, post})}}};
  EXPECT_EQ(routes.find("POST", "a", "/?v=1&w=a"), 1u);
  EXPECT_EQ(routes.get("a", "/?v=1&w=abc"), 2u);
  EXPECT_EQ(routes.get("a", "/?v=2&v=1&w=abc"), 3u) << "the first value decides";
  EXPECT_EQ(routes.get("a", "/?v=1&w=x"), 3u);
  EXPECT_EQ(routes.get("a", "/"), 3u);
}

TEST(Table, WeightsDecideByTheRandomNumber) {
  spec::Route split = route(1, Path::prefix, "/");
  split.clusters = {{10, 90}, {11, 0}, {12, 10}};
  Routes routes{{{host({"*"}, {split})}}};
  const Route* found = routes.table->find({.host = "a", .path = "/", .query = {}, .method = "GET"}, routes.scratch);
  ASSERT_NE(found, nullptr);
  Rng rng{1};
  std::map<std::uint32_t, int> counts;
  for (int i = 0; i < 100'000; ++i) ++counts[found->choose(static_cast<std::uint32_t>(rng.next()))];
  EXPECT_NEAR(counts[10], 90'000, 500);
  EXPECT_EQ(counts[11], 0);
  EXPECT_NEAR(counts[12], 10'000, 500);
  EXPECT_EQ(found->choose(0), 10u);
  EXPECT_EQ(found->choose(~0u), 12u);
}

// Written from the sentences of table.h alone: every route is looked at, the best one kept.
struct Reference {
  const spec::Spec& spec;
  std::map<std::string, std::regex> compiled;

  bool regex(const std::string& pattern, const std::string& text) {
    return std::regex_match(text, compiled.try_emplace(pattern, pattern).first->second);
  }
  bool value(const spec::ValueMatch& m, const std::string* text) {
    bool is = text != nullptr;
    if (m.kind == Match::absent) is = !text;
    if (text && m.kind == Match::exact) is = *text == m.value;
    if (text && m.kind == Match::prefix) is = text->starts_with(m.value);
    if (text && m.kind == Match::suffix) is = text->ends_with(m.value);
    if (text && m.kind == Match::contains) is = text->find(m.value) != std::string::npos;
    if (text && m.kind == Match::regex) is = regex(m.value, *text);
    return is != m.invert;
  }
  static std::string bare(std::string prefix) {
    if (prefix.ends_with('/')) prefix.pop_back();
    return prefix;
  }
  bool fits(const spec::Route& r, const std::string& method, const std::string& path,
            const std::map<std::string, std::string>& fields, const std::map<std::string, std::string>& query) {
    if (r.path.kind == Path::exact && path != r.path.value) return false;
    if (r.path.kind == Path::regex && !regex(r.path.value, path)) return false;
    if (r.path.kind == Path::prefix && path != bare(r.path.value) && !path.starts_with(bare(r.path.value) + "/"))
      return false;
    if (!r.method.empty() && r.method != method) return false;
    const auto of = [](const auto& map, const std::string& name) {
      return map.contains(name) ? &map.at(name) : nullptr;
    };
    return std::ranges::all_of(r.headers, [&](const auto& h) { return value(h.match, of(fields, h.name)); }) &&
           std::ranges::all_of(r.queries, [&](const auto& q) { return value(q.match, of(query, q.name)); });
  }
  std::uint32_t find(const std::string& host, const std::string& method, const std::string& path,
                     const std::map<std::string, std::string>& fields,
                     const std::map<std::string, std::string>& query) {
    const spec::VirtualHost* best_host = nullptr;
    std::size_t best_size = 0;
    for (const auto& each : spec.hosts)
      for (const auto& name : each.hosts) {
        const bool wild = name.starts_with("*.");
        const bool hit =
            name == "*" || name == host || (wild && host.ends_with(name.substr(1)) && host.size() > name.size() - 1);
        const std::size_t size = name == "*" ? 1 : wild ? name.size() : 1000;
        if (hit && size > best_size) best_host = &each, best_size = size;
      }
    if (!best_host) return 0;
    using Key = std::array<std::int64_t, 6>;
    std::uint32_t best = 0;
    Key best_key{};
    for (std::size_t i = 0; i < best_host->routes.size(); ++i) {
      const spec::Route& r = best_host->routes[i];
      if (!fits(r, method, path, fields, query)) continue;
      const std::int64_t kind = r.path.kind == Path::exact ? 3 : r.path.kind == Path::regex ? 2 : 1;
      const std::int64_t length =
          r.path.kind == Path::prefix ? static_cast<std::int64_t>(bare(r.path.value).size()) : 0;
      const Key key{kind,
                    length,
                    !r.method.empty(),
                    static_cast<std::int64_t>(r.headers.size()),
                    static_cast<std::int64_t>(r.queries.size()),
                    -static_cast<std::int64_t>(i)};
      if (best == 0 || key > best_key) best = r.id, best_key = key;
    }
    return best;
  }
};

TEST(Table, AgreesWithANaiveMatcher) {
  const std::vector<std::string> names{"a.com", "b.com", "*.a.com", "*.x.a.com", "*.com", "*"};
  const std::vector<std::string> hosts{"a.com", "b.com", "q.a.com", "q.x.a.com", "x.a.com", "c.com", "d.org"};
  const std::vector<std::string> segments{"a", "b", "ab", "a1"};
  const std::vector<std::string> patterns{"/a.*", "/.*b", "/a[0-9]", "/(a|b)/.*", ".*", "/ab?/a1"};
  const std::vector<std::string> values{"x", "xy", "yx", "1", ""};
  const std::vector<std::string> value_patterns{"x.*", ".*x", "[0-9]", "x?y?", ".*"};
  const std::vector<std::string> fields{"x-one", "x-two", "cookie"};
  int matched = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    Rng rng{seed};
    const auto pick = [&](const auto& from) { return from[rng.below(static_cast<std::uint32_t>(from.size()))]; };
    const auto path = [&] {
      std::string text;
      for (std::uint32_t n = rng.below(4); n > 0; --n) text += "/" + pick(segments);
      return text.empty() || rng.below(5) == 0 ? text + "/" : text;
    };
    const auto match = [&] {
      spec::ValueMatch m;
      m.kind = static_cast<Match>(rng.below(7));
      m.value = m.kind == Match::regex ? pick(value_patterns) : pick(values);
      m.invert = rng.below(4) == 0;
      return m;
    };
    spec::Spec spec;
    std::uint32_t id = 0;
    for (const std::string& name : names) {
      if (rng.below(4) == 0) continue;
      spec::VirtualHost each;
      each.hosts = {name};
      for (std::uint32_t n = rng.below(25); n > 0; --n) {
        const Path kind = static_cast<Path>(rng.below(3));
        spec::Route r = route(++id, kind, kind == Path::regex ? pick(patterns) : path());
        if (rng.below(4) == 0) r.method = rng.below(2) ? "GET" : "POST";
        for (std::uint32_t m = rng.below(3); m > 0; --m) r.headers.push_back({pick(fields), match()});
        for (std::uint32_t m = rng.below(3) / 2; m > 0; --m) r.queries.push_back({rng.below(2) ? "p" : "q", match()});
        each.routes.push_back(r);
      }
      spec.hosts.push_back(each);
    }
    Routes routes{spec};
    Reference reference{spec, {}};
    ASSERT_NE(routes.table, nullptr);
    for (int i = 0; i < 300; ++i) {
      const std::string on = pick(hosts), method = rng.below(2) ? "GET" : "POST", at = path();
      std::map<std::string, std::string> given, query;
      std::vector<std::pair<std::string, std::string>> sent;
      for (const auto& name : fields)
        if (rng.below(2)) sent.emplace_back(name, given[name] = pick(values));
      std::string target = at;
      for (const char* name : {"p", "q"})
        if (rng.below(3) == 0) {
          target += (query.empty() ? "?" : "&") + std::string(name) + "=";
          target += query[name] = pick(values);
        }
      const std::uint32_t expected = reference.find(on, method, at, given, query);
      ASSERT_EQ(routes.find(method, on, target, sent), expected)
          << "seed " << seed << " " << method << " " << on << target;
      matched += expected != 0;
    }
  }
  EXPECT_GT(matched, 5'000) << "the requests hardly match anything";
}

}  // namespace
}  // namespace sluice::route
