#include "mgmt/compile.h"

#include <algorithm>
#include <iterator>
#include <unordered_map>

#include "mgmt/compile_parts.h"

namespace sluice::mgmt {

namespace {

// Groups of the endpoints by cluster id; what is equal to the running group is the running group.
std::vector<std::shared_ptr<const policy::EndpointGroup>> build_groups(const spec::Policy& wanted,
                                                                       const policy::EndpointSet& running,
                                                                       const IdOf& id_of) {
  std::unordered_map<std::string_view, policy::EndpointGroup> groups;
  std::uint32_t last = 0;
  for (const spec::Cluster& cluster : wanted.clusters) {
    const std::uint32_t id = id_of(policy::ObjectKind::cluster, cluster.name).id;
    groups[cluster.name].id = id;
    last = std::max(last, id);
  }
  for (const spec::Endpoint& in : wanted.endpoints) {
    const ObjectRef ref = id_of(policy::ObjectKind::endpoint, endpoint_key(in.cluster, in.name));
    policy::EndpointGroup& group = groups[in.cluster];
    group.endpoints.push_back({ref.id, ref.generation, *parse_endpoint(in.address), in.weight, in.name});
    group.total_weight += in.weight;
  }
  std::vector<std::shared_ptr<const policy::EndpointGroup>> out(groups.empty() ? 0 : last + 1);
  for (auto& [name, group] : groups) {
    const std::uint32_t id = group.id;
    const policy::EndpointGroup* before = running.of(id);
    out[id] = before && before->endpoints == group.endpoints
                  ? running.groups[id]
                  : std::make_shared<const policy::EndpointGroup>(std::move(group));
  }
  return out;
}

policy::Cluster build_cluster(const spec::Cluster& in, const ObjectRef& ref) {
  const auto limit = [](std::uint32_t given) { return given == 0 ? policy::Cluster::unlimited : given; };
  constexpr policy::Balance balances[] = {policy::Balance::round_robin, policy::Balance::random,
                                          policy::Balance::least_request};
  policy::Cluster out;
  out.id = ref.id;
  out.generation = ref.generation;
  out.name = in.name;
  out.balance = balances[static_cast<std::size_t>(in.balance)];
  out.connect_timeout = from_ms_or_never(in.connect_timeout_ms);
  out.request_timeout = from_ms_or_never(in.request_timeout_ms);
  out.idle_timeout = from_ms_or_never(in.idle_timeout_ms);
  out.max_connections = limit(in.max_connections);
  out.max_pending = limit(in.max_pending);
  out.max_requests = limit(in.max_requests);
  out.requests_per_connection = in.requests_per_connection;
  return out;
}

policy::Listener build_listener(const spec::Listener& in, const ObjectRef& ref, const Compiled& parts) {
  policy::Listener out;
  out.id = ref.id;
  out.generation = ref.generation;
  out.name = in.name;
  if (in.tls) out.tls = parts.contexts.at(context_key(*in.tls, parts.spec));
  out.routes = parts.tables.at(in.routes);
  out.limits.head_bytes = in.limits.header_bytes;
  out.limits.fields = in.limits.header_fields;
  out.limits.request_line_bytes = in.limits.request_line_bytes;
  out.max_connections = in.limits.max_connections;
  out.requests_per_connection = in.limits.requests_per_connection;
  out.timeouts = {.request_header = from_ms_or_never(in.timeouts.request_header_ms),
                  .idle = from_ms_or_never(in.timeouts.idle_ms),
                  .stream_idle = from_ms_or_never(in.timeouts.stream_idle_ms)};
  out.use_client_address = in.use_client_address;
  return out;
}

policy::Service build_service(const spec::Service& in, const ObjectRef& ref, const ObjectRef& cluster) {
  const auto range = port_range(in.port, in.last_port, true);
  const auto prefix = parse_prefix(in.address);
  policy::Service out;
  out.id = ref.id;
  out.generation = ref.generation;
  out.name = in.name;
  out.cluster = cluster.id;
  if (prefix) out.address = prefix->masked();
  else if (const auto address = parse_ip(in.address))
    out.address = {*address, static_cast<std::uint8_t>(address->is_v4() ? 32 : 128)};
  out.protocol = in.protocol == spec::ServiceProtocol::tcp ? 6 : 17;
  out.first_port = range->first;
  out.last_port = range->second;
  return out;
}

// Tables and contexts, taken over or built. False when faults were found.
bool build_shared_parts(Compiled& out, const Compiled& running, const Means& means, const IdOf& id_of,
                        std::int64_t now_unix, Faults& faults, Faults& warnings) {
  const Path tables{"route_tables"}, listeners{"listeners"};
  for (std::size_t i = 0; i < out.spec.route_tables.size(); ++i) {
    const spec::RouteTable& table = out.spec.route_tables[i];
    const auto before = std::ranges::find(running.spec.route_tables, table.name, &spec::RouteTable::name);
    const bool same = before != running.spec.route_tables.end() && *before == table;
    out.tables[table.name] =
        same ? running.tables.find(table.name)->second : build_table(table, tables[i], means, id_of, faults);
  }
  for (std::size_t i = 0; i < out.spec.listeners.size(); ++i) {
    const spec::Listener& listener = out.spec.listeners[i];
    if (!listener.tls) continue;
    std::string key = context_key(*listener.tls, out.spec);
    if (out.contexts.contains(key)) continue;
    const auto before = running.contexts.find(key);
    const Path path = listeners[i];
    auto context = before != running.contexts.end()
                       ? before->second
                       : build_context(*listener.tls, path / "tls", out.spec, means, now_unix, faults, warnings);
    out.contexts.emplace(std::move(key), std::move(context));
  }
  return faults.empty();
}

// Nothing that stands in a RouteSet differs.
bool same_routing(const Compiled& a, const Compiled& b) {
  return a.spec.listeners == b.spec.listeners && a.spec.services == b.spec.services && a.tables == b.tables &&
         a.contexts == b.contexts;
}

bool make_scratch(policy::RouteSet& set, const Compiled& parts, unsigned workers, Faults& faults) {
  std::vector<const route::Table*> tables;
  for (const auto& [name, table] : parts.tables) tables.push_back(table.get());
  std::vector<route::Scratch> scratches = route::make_scratches(tables, workers);
  if (scratches.size() < workers) {
    faults.push_back({"route_tables", "memory is short for the workers' scratch space"});
    return false;
  }
  for (route::Scratch& each : scratches) set.scratch.push_back(std::make_shared<route::Scratch>(std::move(each)));
  return true;
}

// What ARP and ND are answered for: every service's address, and listeners' single addresses. A listener on a whole
// network takes what is routed to the node, and answers for none of it.
std::shared_ptr<const AddressSet> answered_addresses(const spec::Policy& wanted) {
  std::vector<Prefix> prefixes;
  const auto add = [&prefixes](const std::string& text, bool single) {
    const auto address = parse_ip(text);
    const auto prefix =
        address ? Prefix{*address, static_cast<std::uint8_t>(address->is_v4() ? 32 : 128)} : parse_prefix(text);
    if (prefix && (!single || prefix->length == (prefix->address.is_v4() ? 32 : 128))) prefixes.push_back(*prefix);
  };
  for (const spec::Service& service : wanted.services) add(service.address, false);
  for (const spec::Listener& listener : wanted.listeners)
    for (const std::string& address : listener.addresses) add(address, true);
  return std::make_shared<const AddressSet>(std::move(prefixes));
}

std::shared_ptr<const policy::RouteSet> build_routing(const Compiled& parts, const Means& means, const IdOf& id_of,
                                                      Faults& faults) {
  auto out = std::make_shared<policy::RouteSet>();
  out->listener_match = build_listener_match(parts.spec, means, id_of, faults);
  out->addresses = answered_addresses(parts.spec);
  if (!faults.empty() || !make_scratch(*out, parts, means.workers, faults)) return nullptr;
  std::vector<policy::Listener> listeners;
  for (const spec::Listener& each : parts.spec.listeners)
    listeners.push_back(build_listener(each, id_of(policy::ObjectKind::listener, each.name), parts));
  out->listeners = policy::ById<policy::Listener>{std::move(listeners)};
  std::vector<policy::Service> services;
  for (const spec::Service& each : parts.spec.services)
    services.push_back(build_service(each, id_of(policy::ObjectKind::service, each.name),
                                     id_of(policy::ObjectKind::cluster, each.cluster)));
  out->services = policy::ById<policy::Service>{std::move(services)};
  return out;
}

// The set of endpoints; the running one where nothing in it differs.
std::shared_ptr<const policy::EndpointSet> build_endpoints(const spec::Policy& wanted, const Compiled& running,
                                                           std::uint64_t generation, const IdOf& id_of,
                                                           Faults& faults) {
  const policy::EndpointSet& before = *running.policy.endpoints;
  auto out = std::make_shared<policy::EndpointSet>();
  out->groups = build_groups(wanted, before, id_of);
  const bool same_services = wanted.services == running.spec.services &&
                             std::ranges::all_of(wanted.services, [&](const spec::Service& service) {
                               const std::uint32_t cluster = id_of(policy::ObjectKind::cluster, service.cluster).id;
                               return out->of(cluster) == before.of(cluster);
                             });
  out->services =
      same_services ? before.services : build_services(wanted, generation, id_of, before.services.get(), faults);
  if (!faults.empty()) return nullptr;
  if (same_services && out->groups == before.groups) return running.policy.endpoints;
  return out;
}

}  // namespace

Compiled compile_nothing(const Means& means) {
  Compiled out;
  auto routes = std::make_shared<policy::RouteSet>();
  routes->listener_match = std::make_shared<const Listeners>();
  routes->addresses = std::make_shared<const AddressSet>();
  for (unsigned i = 0; i < means.workers; ++i) routes->scratch.push_back(std::make_shared<route::Scratch>());
  auto endpoints = std::make_shared<policy::EndpointSet>();
  endpoints->services = std::make_shared<const Services>();
  out.policy = {0, std::move(routes), std::make_shared<const policy::ClusterSet>(), std::move(endpoints)};
  return out;
}

Verdict check_rooms(const spec::Policy& wanted, const Compiled& running, const Means& means, std::int64_t now_unix) {
  // Numbers that differ for different names are all that the rooms ask for.
  std::unordered_map<std::string, std::uint32_t> seen;
  const IdOf any_id = [&](policy::ObjectKind kind, std::string_view name) {
    std::string key{name};
    key += static_cast<char>(kind);
    return ObjectRef{kind, seen.try_emplace(std::move(key), static_cast<std::uint32_t>(seen.size())).first->second, 1};
  };
  Verdict verdict;
  Compiled parts;
  parts.spec = wanted;
  build_shared_parts(parts, running, means, any_id, now_unix, verdict.faults, verdict.warnings);
  Faults of_listeners, of_services;
  build_listener_match(wanted, means, any_id, of_listeners);
  build_services(wanted, 1, any_id, nullptr, of_services);
  std::ranges::move(of_listeners, std::back_inserter(verdict.faults));
  std::ranges::move(of_services, std::back_inserter(verdict.faults));
  return verdict;
}

std::expected<Compiled, Faults> compile(spec::Policy wanted, const Compiled& running, std::uint64_t generation,
                                        const Means& means, const IdOf& id_of, std::int64_t now_unix,
                                        Faults& warnings) {
  Compiled out;
  out.spec = std::move(wanted);
  Faults faults;
  build_shared_parts(out, running, means, id_of, now_unix, faults, warnings);
  if (!faults.empty()) return std::unexpected{std::move(faults)};

  out.policy.generation = generation;
  out.policy.routes = same_routing(out, running) ? running.policy.routes : build_routing(out, means, id_of, faults);
  if (out.spec.clusters == running.spec.clusters) {
    out.policy.clusters = running.policy.clusters;
  } else {
    std::vector<policy::Cluster> clusters;
    for (const spec::Cluster& each : out.spec.clusters)
      clusters.push_back(build_cluster(each, id_of(policy::ObjectKind::cluster, each.name)));
    out.policy.clusters =
        std::make_shared<const policy::ClusterSet>(policy::ById<policy::Cluster>{std::move(clusters)});
  }
  Faults of_endpoints;
  out.policy.endpoints = build_endpoints(out.spec, running, generation, id_of, of_endpoints);
  for (Fault& fault : of_endpoints) faults.push_back(std::move(fault));
  if (!faults.empty()) return std::unexpected{std::move(faults)};
  return out;
}

std::expected<Policy, Faults> compile_endpoints(const spec::Policy& wanted, const Compiled& running,
                                                std::uint64_t generation, const IdOf& id_of) {
  Faults faults;
  Policy out{generation, running.policy.routes, running.policy.clusters, nullptr};
  out.endpoints = build_endpoints(wanted, running, generation, id_of, faults);
  if (!faults.empty()) return std::unexpected{std::move(faults)};
  return out;
}

}  // namespace sluice::mgmt
