#include "perf/world/node.h"

namespace sluice::perf {

RigSpec node_of(Port& port, const NodeSpec& wanted) {
  RigSpec spec;
  spec.ports = {&port};
  const IpAddress own = IpAddress::from_v4(wanted.address);
  spec.interfaces = {{0, 0, wanted.mac, 1500, {{own, wanted.prefix}}, no_port}};
  spec.local = {{own, wanted.sources, LocalUse::upstream}};
  spec.policy.clusters.push_back({.name = "backends"});
  const Endpoint backend{IpAddress::from_v4(wanted.backend), wanted.backend_port};
  spec.policy.endpoints.push_back(
      {.cluster = "backends", .name = "b0", .address = std::string{to_text(backend).view()}});
  mgmt::spec::Route route;
  route.name = "all";
  route.path = mgmt::spec::PathMatch{mgmt::spec::PathMatchKind::prefix, "/"};
  route.clusters = {{"backends", 1}};
  mgmt::spec::VirtualHost host{.name = "any", .hosts = {"*"}, .routes = {}};
  host.routes.push_back(route);
  spec.policy.route_tables.push_back({"table", {host}});
  mgmt::spec::Listener listener;
  listener.name = "web";
  listener.addresses = {std::string{to_text(IpAddress::from_v4(wanted.vip)).view()}};
  listener.port = wanted.vip_port;
  listener.routes = "table";
  spec.policy.listeners.push_back(listener);
  spec.pipeline.tls.sessions = spec.pipeline.tls.hot_keys = spec.pipeline.tls.handshakes = 16;
  return spec;
}

}  // namespace sluice::perf
