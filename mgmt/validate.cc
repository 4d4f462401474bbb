#include "mgmt/validate.h"

#include <algorithm>
#include <map>

#include "mgmt/validate_rules.h"

namespace sluice::mgmt {

namespace {

constexpr std::uint32_t longest_timeout_ms = 30u * 24 * 3600 * 1000;
constexpr std::size_t longest_name = 128;

}  // namespace

bool Rules::name_is_good(const std::string& name, const Path& path) {
  if (name.empty()) {
    fault(path, "a name is needed");
    return false;
  }
  if (name.size() > longest_name) {
    fault(path, "a name has at most {} characters, this one {}", longest_name, name.size());
    return false;
  }
  const bool plain =
      std::ranges::all_of(name, [](char c) { return c > ' ' && c < 0x7f && c != '"' && c != '\'' && c != '\\'; });
  if (!plain) fault(path, "a name has printable ASCII characters only, no space, quote or backslash");
  return plain;
}

void Rules::unique_name(NameIndex& index, const std::string& name, std::size_t position, const Path& list) {
  const Path item = list[position];
  const Path path = item / "name";
  if (!name_is_good(name, path)) return;
  const auto [first, is_new] = index.try_emplace(name, position);
  if (!is_new) fault(path, "\"{}\" is already the name of {}", name, list[first->second].text());
}

void Rules::timeout(std::uint32_t ms, const Path& path) {
  if (ms > longest_timeout_ms) fault(path, "{} is more than 30 days", ms);
}

void Rules::needed_timeout(std::uint32_t ms, const Path& path) {
  if (ms == 0) fault(path, "0 is not allowed here");
  timeout(ms, path);
}

void Rules::clusters() {
  const Path list{"clusters"};
  if (policy.clusters.size() > node.limits.clusters)
    fault(list, "{} clusters are more than the node's limit of {}", policy.clusters.size(), node.limits.clusters);
  for (std::size_t i = 0; i < policy.clusters.size(); ++i) {
    const spec::Cluster& cluster = policy.clusters[i];
    const Path path = list[i];
    unique_name(names.clusters, cluster.name, i, list);
    needed_timeout(cluster.connect_timeout_ms, path / "connect_timeout_ms");
    timeout(cluster.request_timeout_ms, path / "request_timeout_ms");
    timeout(cluster.idle_timeout_ms, path / "idle_timeout_ms");
    if (!names.routed_clusters.contains(cluster.name) && !names.service_clusters.contains(cluster.name))
      warn(path / "name", "nothing uses cluster \"{}\"", cluster.name);
  }
}

void Rules::endpoints() {
  const Path list{"endpoints"};
  if (policy.endpoints.size() > node.limits.endpoints)
    fault(list, "{} endpoints are more than the node's limit of {}", policy.endpoints.size(), node.limits.endpoints);
  std::map<std::pair<std::string_view, std::string_view>, std::size_t> by_name;
  std::map<std::pair<std::string_view, Endpoint>, std::size_t> by_address;
  for (std::size_t i = 0; i < policy.endpoints.size(); ++i) {
    const spec::Endpoint& endpoint = policy.endpoints[i];
    const Path path = list[i];
    if (!names.clusters.contains(endpoint.cluster)) fault(path / "cluster", "unknown cluster \"{}\"", endpoint.cluster);
    if (name_is_good(endpoint.name, path / "name")) {
      if (endpoint.name.find('/') != std::string::npos) fault(path / "name", "an endpoint's name has no \"/\"");
      const auto [first, is_new] = by_name.try_emplace({endpoint.cluster, endpoint.name}, i);
      if (!is_new)
        fault(path / "name", "cluster \"{}\" has \"{}\" already: {}", endpoint.cluster, endpoint.name,
              list[first->second].text());
    }
    const Path at = path / "address";
    const auto address = parse_endpoint(endpoint.address);
    if (!address) {
      fault(at, "\"{}\" is not an address and a port (192.0.2.7:80, [2001:db8::7]:80)", endpoint.address);
      continue;
    }
    if (address->address.is_unspecified() || address->address.is_multicast())
      fault(at, "{} is not the address of one host", endpoint.address);
    if (address->port == 0 && names.routed_clusters.contains(endpoint.cluster))
      fault(at, "port 0 is for clusters of L4 services only, and routes use cluster \"{}\"", endpoint.cluster);
    const auto [first, is_new] = by_address.try_emplace({endpoint.cluster, *address}, i);
    if (!is_new)
      fault(at, "cluster \"{}\" has {} already: {}", endpoint.cluster, endpoint.address, list[first->second].text());
    if (endpoint.weight > 1'000'000) fault(path / "weight", "{} is more than 1000000", endpoint.weight);
  }
}

// Names that others refer to, before anybody asks.
void Rules::collect_names() {
  for (std::size_t i = 0; i < policy.clusters.size(); ++i) names.clusters.try_emplace(policy.clusters[i].name, i);
  for (const spec::Service& service : policy.services) names.service_clusters.insert(service.cluster);
  for (const spec::RouteTable& table : policy.route_tables)
    for (const spec::VirtualHost& host : table.virtual_hosts)
      for (const spec::Route& route : host.routes)
        for (const spec::WeightedCluster& to : route.clusters) names.routed_clusters.insert(to.cluster);
}

void limit_faults(Faults& faults) {
  if (faults.size() <= faults_max) return;
  const std::size_t more = faults.size() - faults_max;
  faults.resize(faults_max);
  faults.push_back({"", fmt::format("and {} more", more)});
}

std::optional<std::pair<std::uint16_t, std::uint16_t>> port_range(std::uint16_t first, std::uint16_t last,
                                                                  bool zero_is_any) {
  if (first == 0) {
    if (last != 0 || !zero_is_any) return std::nullopt;
    return std::pair<std::uint16_t, std::uint16_t>{0, 65535};
  }
  if (last == 0) return std::pair{first, first};
  if (last < first) return std::nullopt;
  return std::pair{first, last};
}

Verdict validate(const spec::Policy& policy, const NodeFacts& node) {
  Rules rules{policy, node};
  rules.collect_names();
  rules.certificates();
  rules.route_tables();
  rules.names.clusters.clear();
  rules.clusters();
  rules.endpoints();
  rules.listeners();
  rules.services();
  limit_faults(rules.verdict.faults);
  return std::move(rules.verdict);
}

Verdict validate_endpoints(const spec::Policy& policy, const NodeFacts& node) {
  Rules rules{policy, node};
  rules.collect_names();
  rules.endpoints();
  limit_faults(rules.verdict.faults);
  return std::move(rules.verdict);
}

Verdict validate_delta(const spec::EndpointDelta& delta, const spec::Policy& running) {
  Verdict verdict;
  const auto fault = [&](const Path& path, std::string message) {
    verdict.faults.push_back({path.text(), std::move(message)});
  };
  std::unordered_set<std::string_view> clusters;
  for (const spec::Cluster& cluster : running.clusters) clusters.insert(cluster.name);
  std::map<std::pair<std::string_view, std::string_view>, std::string> named;
  const auto once = [&](std::string_view cluster, std::string_view name, const Path& path) {
    const auto [first, is_new] = named.try_emplace({cluster, name}, path.text());
    if (!is_new) fault(path, fmt::format("the delta names \"{}/{}\" already: {}", cluster, name, first->second));
  };
  const Path set{"set"}, remove{"remove"};
  for (std::size_t i = 0; i < delta.set.size(); ++i) {
    const Path path = set[i];
    if (!clusters.contains(delta.set[i].cluster))
      fault(path / "cluster", fmt::format("unknown cluster \"{}\"", delta.set[i].cluster));
    once(delta.set[i].cluster, delta.set[i].name, path);
  }
  std::map<std::pair<std::string_view, std::string_view>, bool> running_names;
  for (const spec::Endpoint& endpoint : running.endpoints) running_names[{endpoint.cluster, endpoint.name}] = true;
  for (std::size_t i = 0; i < delta.remove.size(); ++i) {
    const Path path = remove[i];
    const auto& [cluster, name] = delta.remove[i];
    if (!running_names.contains({cluster, name})) fault(path, fmt::format("unknown endpoint \"{}/{}\"", cluster, name));
    once(cluster, name, path);
  }
  limit_faults(verdict.faults);
  return verdict;
}

}  // namespace sluice::mgmt
