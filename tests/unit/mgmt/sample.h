// sample.h - policies that tests of mgmt start from.
#pragma once

#include "mgmt/spec.h"
#include "mgmt/validate.h"

namespace sluice::mgmt::test {

// Plain HTTP to two clusters and one L4 service. Valid.
inline spec::Policy sample() {
  spec::Policy p;
  p.listeners.push_back({.name = "web", .addresses = {"192.0.2.1"}, .port = 80, .routes = "main"});
  p.route_tables.push_back({.name = "main", .virtual_hosts = {{.name = "any", .hosts = {"*"}, .routes = {}}}});
  spec::Route canary;
  canary.name = "canary";
  canary.headers = {{.name = "x-canary", .kind = spec::ValueMatchKind::exact, .value = "yes"}};
  canary.clusters = {{"b", 1}};
  spec::Route rest;
  rest.path = {spec::PathMatchKind::prefix, "/"};
  rest.clusters = {{"a", 9}, {"b", 1}};
  p.route_tables[0].virtual_hosts[0].routes = {canary, rest};
  p.clusters = {{.name = "a"}, {.name = "b"}, {.name = "dns"}};
  p.endpoints = {{"a", "a1", "10.0.0.1:8080", 1},
                 {"a", "a2", "10.0.0.2:8080", 1},
                 {"b", "b1", "10.0.1.1:8080", 1},
                 {"dns", "d1", "10.0.2.1:53", 1},
                 {"dns", "d2", "10.0.2.2:53", 1}};
  p.services.push_back(
      {.name = "dns", .address = "192.0.2.53", .protocol = spec::ServiceProtocol::udp, .port = 53, .cluster = "dns"});
  return p;
}

inline NodeFacts facts() { return {.limits = {}, .ports = {"eth0", "eth1"}}; }

}  // namespace sluice::mgmt::test
