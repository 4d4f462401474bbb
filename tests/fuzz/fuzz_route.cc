// covers: l7/route/table.cc
// Any request against a table that has every kind of match: no crash, a route that was found fits the request's path,
// method and fields, and what it chooses is one of its clusters. Input: lines of host, path, query, method, then
// "name:value" of header fields.
#include "l7/route/table.h"

#include <memory>

#include "l7/route/compile.h"

using namespace sluice;
using namespace sluice::route;

namespace {

using Value = spec::ValueMatch;

// One route for each kind of header match, by id from here on, all on paths below /h.
constexpr std::uint32_t first_header_route = 10;
const std::vector<spec::HeaderMatch> header_matches{
    {"x-exact", {Value::Kind::exact, "one", false}},      {"x-prefix", {Value::Kind::prefix, "pre", false}},
    {"x-suffix", {Value::Kind::suffix, "end", false}},    {"x-contains", {Value::Kind::contains, "mid", false}},
    {"x-regex", {Value::Kind::regex, "[0-9]+x?", false}}, {"cookie", {Value::Kind::present, "", false}},
    {"x-inverted", {Value::Kind::exact, "not", true}},    {"x-absent", {Value::Kind::absent, "", false}},
};

spec::Route make_route(std::uint32_t id, spec::PathMatch path) {
  spec::Route route;
  route.id = id;
  route.path = std::move(path);
  route.clusters = {{1, 1}, {2, 3}};
  return route;
}

struct World {
  DatabaseCache cache;
  std::unique_ptr<Table> table;
  Scratch scratch;
  World() {
    using Kind = spec::PathMatch::Kind;
    spec::Spec spec;
    for (const char* name : {"a.com", "*.a.com", "*"}) {
      spec::VirtualHost host;
      host.hosts = {name};
      host.routes = {make_route(1, {Kind::exact, "/a"}), make_route(2, {Kind::prefix, "/a/b"}),
                     make_route(3, {Kind::prefix, "/a"}), make_route(4, {Kind::regex, "/r[0-9]+(/x)*"}),
                     make_route(5, {Kind::exact, "/m"})};
      host.routes[2].queries = {{"q", {Value::Kind::regex, "[a-c]*", false}}};
      host.routes[4].method = "POST";
      for (std::uint32_t i = 0; i < header_matches.size(); ++i) {
        host.routes.push_back(make_route(first_header_route + i, {Kind::prefix, "/h"}));
        host.routes.back().headers = {header_matches[i]};
      }
      spec.hosts.push_back(host);
    }
    // A change of tables as management does it: compiled, moved into place, a scratch for each worker that fits all.
    auto older = compile({}, cache), compiled = compile(spec, cache);
    CHECK(older.has_value() && compiled.has_value());
    const std::size_t size = compiled->bytes();
    *older = std::move(*compiled);
    table = std::make_unique<Table>(std::move(*older));
    CHECK(table->route_count() == 3 * (5 + header_matches.size()) && table->bytes() == size);
    const Table* const tables[] = {table.get()};
    std::vector<Scratch> scratches = make_scratches(tables, 2);
    CHECK(scratches.size() == 2 && scratches[0].bytes() > 0);
    scratch = std::move(scratches[1]);
  }
};

// Whether the value of the first field of a name is what a match wants; regular expressions are not judged here.
bool judge(const http::Head& head, const spec::HeaderMatch& wanted) {
  const http::Field* field = head.find(wanted.name);
  const std::string_view value = field ? head.value(*field) : std::string_view{};
  const auto& [kind, text, invert] = wanted.match;
  if (kind == Value::Kind::absent || !field) return (kind == Value::Kind::absent && !field) != invert;
  const bool fits = kind == Value::Kind::exact      ? value == text
                    : kind == Value::Kind::prefix   ? value.starts_with(text)
                    : kind == Value::Kind::suffix   ? value.ends_with(text)
                    : kind == Value::Kind::contains ? value.contains(text)
                                                    : true;
  return fits != invert;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static World world;
  if (size < 2 || size > 4096) return 0;
  // Two bytes more may be read behind each view.
  const std::string text = std::string{reinterpret_cast<const char*>(data), size} + "\n..";
  http::Head head;
  head.clear(text.data());
  std::string_view* const parts[] = {&head.authority, &head.path, &head.query, &head.method_name};
  std::size_t line = 0;
  for (std::size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1, ++line) {
    const std::string_view all = std::string_view{text}.substr(at, end - at);
    if (line < 4) {
      *parts[line] = all;
    } else if (const std::size_t colon = all.find(':'); colon != std::string_view::npos) {
      const auto place = [](std::size_t n) { return static_cast<std::uint16_t>(n); };
      if (!head.push({place(at), place(colon), place(at + colon + 1), place(all.size() - colon - 1),
                      http::known_field(all.substr(0, colon))}))
        break;
    }
  }
  const Route* route = world.table->find(view_of(head), world.scratch);
  if (!route) return 0;
  const std::string_view path = head.path;
  CHECK(route->id != 1 || path == "/a");
  CHECK(route->id != 2 || path == "/a/b" || path.starts_with("/a/b/"));
  CHECK(route->id != 3 || path == "/a" || path.starts_with("/a/"));
  CHECK(route->id != 4 || path.starts_with("/r"));
  CHECK(route->id != 5 || (path == "/m" && head.method_name == "POST"));
  if (route->id >= first_header_route) {
    CHECK(path == "/h" || path.starts_with("/h/"));
    CHECK(judge(head, header_matches[route->id - first_header_route]));
  }
  const auto random = static_cast<std::uint32_t>(size * 0x9e3779b9);
  CHECK(route->choose(random) == (random >> 30 ? 2u : 1u));
  return 0;
}
