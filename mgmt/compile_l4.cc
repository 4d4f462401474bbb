// Listeners' addresses and L4 services to what steers packets.
#include <fmt/format.h>

#include <algorithm>
#include <ranges>
#include <unordered_map>

#include "mgmt/compile_parts.h"

namespace sluice::mgmt {

namespace {

// How many conflicts are looked for after the first.
constexpr unsigned conflicts_max = 64;

std::optional<Prefix> prefix_of(const std::string& text) {
  if (const auto prefix = parse_prefix(text)) return prefix;
  if (const auto address = parse_ip(text))
    return Prefix{*address, static_cast<std::uint8_t>(address->is_v4() ? 32 : 128)};
  return std::nullopt;
}

FlowTimeouts timeouts_of(const spec::ServiceTimeouts& t) {
  return {.tcp_syn = from_ms(t.tcp_syn_ms),
          .tcp_established = from_ms(t.tcp_established_ms),
          .tcp_fin = from_ms(t.tcp_fin_ms),
          .tcp_closed = from_ms(t.tcp_closed_ms),
          .udp = from_ms(t.udp_ms),
          .udp_one_way = from_ms(t.udp_one_way_ms)};
}

// A rule or a service of l4 and where in the policy it comes from.
template <typename T>
struct Placed {
  std::vector<T> items;
  std::vector<std::string> paths;
  void add(T item, std::string path) {
    items.push_back(std::move(item));
    paths.push_back(std::move(path));
  }
  void erase(std::size_t at) {
    items.erase(items.begin() + static_cast<std::ptrdiff_t>(at));
    paths.erase(paths.begin() + static_cast<std::ptrdiff_t>(at));
  }
};

Placed<ListenerRule> rules_of(const spec::Policy& policy, const Means& means, const IdOf& id_of) {
  Placed<ListenerRule> out;
  const std::vector<std::string>& ports = means.node.ports;
  for (std::size_t i = 0; i < policy.listeners.size(); ++i) {
    const spec::Listener& listener = policy.listeners[i];
    const auto range = port_range(listener.port, listener.last_port, false);
    if (!range) continue;
    ListenerRule rule{.id = id_of(policy::ObjectKind::listener, listener.name).id,
                      .destination = {},
                      .ports = {range->first, range->second},
                      .ingress = no_port};
    if (!listener.ingress_port.empty()) {
      const auto port = std::ranges::find(ports, listener.ingress_port);
      if (port == ports.end()) continue;
      rule.ingress = static_cast<PortId>(port - ports.begin());
    }
    if (listener.addresses.empty()) {
      for (const Prefix any : {Prefix{IpAddress::from_v4(0), 0}, Prefix{IpAddress{}, 0}}) {
        rule.destination = any;
        out.add(rule, fmt::format("listeners[{}]", i));
      }
    }
    for (std::size_t k = 0; k < listener.addresses.size(); ++k) {
      const auto prefix = prefix_of(listener.addresses[k]);
      if (!prefix) continue;
      rule.destination = prefix->masked();
      out.add(rule, fmt::format("listeners[{}].addresses[{}]", i, k));
    }
  }
  return out;
}

using Backends = std::unordered_map<std::string_view, std::vector<Backend>>;

Backends backends_of(const spec::Policy& policy, const IdOf& id_of) {
  Backends out;
  for (const spec::Service& service : policy.services) out[service.cluster];
  if (out.empty()) return out;
  for (const spec::Endpoint& endpoint : policy.endpoints) {
    const auto cluster = out.find(endpoint.cluster);
    const auto address = parse_endpoint(endpoint.address);
    if (cluster == out.end() || !address) continue;
    const ObjectRef ref = id_of(policy::ObjectKind::endpoint, endpoint_key(endpoint.cluster, endpoint.name));
    cluster->second.push_back({ref.id, *address, endpoint.weight});
  }
  return out;
}

// What is wrong with one service, in the words of the schema.
Fault fault_of(const ServiceError& error, const Placed<ServiceSpec>& placed) {
  const std::string& path = placed.paths[error.service];
  const ServiceSpec& spec = placed.items[error.service];
  const std::string what{to_text(error.kind)};
  switch (error.kind) {
    case ServiceError::Kind::conflict:
    case ServiceError::Kind::duplicate_id:
      return {path, fmt::format("asks for the same packets as {}", placed.paths[error.other])};
    case ServiceError::Kind::backend_family:
    case ServiceError::Kind::duplicate_backend:
    case ServiceError::Kind::backend_address:
      return {path + ".cluster", fmt::format("{}: {}", what, to_text(spec.backends[error.other].at).view())};
    case ServiceError::Kind::maglev_size: return {path + ".maglev_slots", what};
    case ServiceError::Kind::too_many_backends: return {path + ".cluster", what};
    case ServiceError::Kind::timeout: return {path + ".timeouts", what};
    case ServiceError::Kind::ports: return {path + ".port", what};
    case ServiceError::Kind::protocol: return {path + ".protocol", what};
  }
  return {path, what};
}

Placed<ServiceSpec> services_of(const spec::Policy& policy, const IdOf& id_of) {
  Placed<ServiceSpec> out;
  Backends backends = backends_of(policy, id_of);
  for (std::size_t i = 0; i < policy.services.size(); ++i) {
    const spec::Service& service = policy.services[i];
    const auto range = port_range(service.port, service.last_port, true);
    const auto prefix = prefix_of(service.address);
    if (!range || !prefix) continue;
    out.add({.id = id_of(policy::ObjectKind::service, service.name).id,
             .vip = prefix->masked(),
             .ports = {range->first, range->second},
             .protocol = service.protocol == spec::ServiceProtocol::tcp ? Protocol::tcp : Protocol::udp,
             .mode = ForwardMode::full_nat,
             .timeouts = timeouts_of(service.timeouts),
             .maglev_size = service.maglev_slots,
             .backends = backends[service.cluster]},
            fmt::format("services[{}]", i));
  }
  return out;
}

}  // namespace

std::shared_ptr<const Listeners> build_listener_match(const spec::Policy& policy, const Means& means, const IdOf& id_of,
                                                      Faults& faults) {
  Placed<ListenerRule> rules = rules_of(policy, means, id_of);
  auto compiled = Listeners::compile(rules.items);
  // The room names one conflict; each further one shows once the rule that lost is out of the way.
  for (unsigned i = 0; !compiled && i < conflicts_max; ++i) {
    const auto [first, second] = compiled.error();
    faults.push_back({rules.paths[second], first == second
                                               ? std::string{"matches nothing"}
                                               : fmt::format("asks for the same packets as {}", rules.paths[first])});
    rules.erase(second);
    compiled = Listeners::compile(rules.items);
  }
  return compiled && faults.empty() ? std::make_shared<const Listeners>(std::move(*compiled)) : nullptr;
}

std::shared_ptr<const Services> build_services(const spec::Policy& policy, std::uint64_t generation, const IdOf& id_of,
                                               const Services* before, Faults& faults) {
  Placed<ServiceSpec> services = services_of(policy, id_of);
  auto compiled = Services::compile(services.items, generation, before);
  for (unsigned i = 0; !compiled && i < conflicts_max; ++i) {
    std::vector<std::size_t> lost;
    for (const ServiceError& error : compiled.error()) {
      faults.push_back(fault_of(error, services));
      if (lost.empty() || lost.back() != error.service) lost.push_back(error.service);
    }
    std::ranges::sort(lost);
    lost.erase(std::ranges::unique(lost).begin(), lost.end());
    for (const std::size_t at : lost | std::views::reverse) services.erase(at);
    compiled = Services::compile(services.items, generation, before);
  }
  return compiled && faults.empty() ? std::make_shared<const Services>(std::move(*compiled)) : nullptr;
}

}  // namespace sluice::mgmt

// Tested in tests/unit/mgmt/publish_test.cc.
