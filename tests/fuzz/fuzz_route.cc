// covers: l7/route/table.cc
// Any request against a table that has every kind of match: no crash, and a route that was found fits the request's
// path.
#include "l7/route/table.h"

#include <memory>

#include "l7/route/compile.h"

using namespace sluice;
using namespace sluice::route;

namespace {

struct World {
  DatabaseCache cache;
  std::unique_ptr<Table> table;
  Scratch scratch;
  World() {
    spec::Spec spec;
    for (const char* name : {"a.com", "*.a.com", "*"}) {
      spec::VirtualHost host;
      host.hosts = {name};
      const std::pair<spec::PathMatch::Kind, const char*> paths[] = {{spec::PathMatch::Kind::exact, "/a"},
                                                                     {spec::PathMatch::Kind::prefix, "/a/b"},
                                                                     {spec::PathMatch::Kind::prefix, "/a"},
                                                                     {spec::PathMatch::Kind::regex, "/r[0-9]+(/x)*"}};
      std::uint32_t id = 0;
      for (const auto& [kind, path] : paths) {
        spec::Route route;
        route.id = ++id;
        route.path = {kind, path};
        route.clusters = {{1, 1}};
        if (id == 3) route.queries = {{"q", {spec::ValueMatch::Kind::regex, "[a-c]*", false}}};
        host.routes.push_back(route);
      }
      spec.hosts.push_back(host);
    }
    auto compiled = compile(spec, cache);
    CHECK(compiled.has_value());
    table = std::make_unique<Table>(std::move(*compiled));
    CHECK(scratch.fit(*table));
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static World world;
  if (size < 2) return 0;
  // host '\n' path '\n' query; two bytes more may be read behind each.
  std::string text{reinterpret_cast<const char*>(data), size};
  text += "\n\n..";
  const std::size_t one = text.find('\n'), two = text.find('\n', one + 1);
  const std::string_view all = text;
  const RequestView request{all.substr(0, one), all.substr(one + 1, two - one - 1),
                            all.substr(two + 1, text.size() - two - 3), "GET", nullptr};
  const Route* route = world.table->find(request, world.scratch);
  if (!route) return 0;
  const std::string_view path = request.path;
  CHECK(route->id != 1 || path == "/a");
  CHECK(route->id != 2 || path == "/a/b" || path.starts_with("/a/b/"));
  CHECK(route->id != 3 || path == "/a" || path.starts_with("/a/"));
  CHECK(route->id != 4 || path.starts_with("/r"));
  return 0;
}
