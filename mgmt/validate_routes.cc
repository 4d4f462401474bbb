// Route tables: names, references and that each route has one thing to do. Hosts, paths and expressions are judged by
// route::compile.
#include "mgmt/validate_rules.h"

namespace sluice::mgmt {

void Rules::weighted_clusters(const spec::Route& route, const Path& path) {
  const Path list = path / "clusters";
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < route.clusters.size(); ++i) {
    const spec::WeightedCluster& to = route.clusters[i];
    const Path at = list[i];
    if (!names.clusters.contains(to.cluster)) fault(at / "cluster", "unknown cluster \"{}\"", to.cluster);
    if (to.weight > 1'000'000) fault(at / "weight", "{} is more than 1000000", to.weight);
    total += to.weight;
  }
  if (!route.clusters.empty() && total == 0) fault(list, "the sum of the weights is 0");
}

void Rules::route(const spec::Route& route, std::size_t position, const Path& path) {
  if (!route.name.empty() && name_is_good(route.name, path / "name")) {
    const auto [first, is_new] = names.routes.try_emplace(route.name, position);
    if (!is_new) fault(path / "name", "\"{}\" is already the name of another route", route.name);
  }
  const int actions = !route.clusters.empty() + route.redirect.has_value() + route.direct_response.has_value();
  if (actions != 1) fault(path, "exactly one of clusters, redirect and direct_response is needed, not {}", actions);
  weighted_clusters(route, path);
  timeout(route.request_timeout_ms, path / "request_timeout_ms");
  timeout(route.idle_timeout_ms, path / "idle_timeout_ms");
}

void Rules::route_tables() {
  const Path list{"route_tables"};
  std::size_t position = 0;
  for (std::size_t i = 0; i < policy.route_tables.size(); ++i) {
    const spec::RouteTable& table = policy.route_tables[i];
    const Path table_path = list[i];
    unique_name(names.route_tables, table.name, i, list);
    const Path hosts = table_path / "virtual_hosts";
    for (std::size_t h = 0; h < table.virtual_hosts.size(); ++h) {
      const spec::VirtualHost& host = table.virtual_hosts[h];
      const Path host_path = hosts[h];
      const Path routes = host_path / "routes";
      if (!host.name.empty()) name_is_good(host.name, host_path / "name");
      for (std::size_t r = 0; r < host.routes.size(); ++r) route(host.routes[r], position++, routes[r]);
    }
  }
  if (names.routes.size() > node.limits.routes)
    warn(list, "{} routes have names, the node keeps statistics of {}", names.routes.size(), node.limits.routes);
}

}  // namespace sluice::mgmt

// Tested in tests/unit/mgmt/validate_test.cc.
