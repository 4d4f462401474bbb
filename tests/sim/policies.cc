#include "tests/sim/policies.h"

#include "tests/sim/plan.h"
#include "tests/sim/tls_client.h"

namespace sluice::sim {

using namespace mgmt::spec;

namespace {

// Of everything that waits for a peer: paths that take no long packets for good make timers back off for minutes.
constexpr std::uint32_t patience_ms = 300'000;
// Of a request, longer: it may wait for a place that a client holds for so long that has vanished.
constexpr std::uint32_t request_patience_ms = 2 * patience_ms;
constexpr auto connect_patience_ms = static_cast<std::uint32_t>(connect_patience.millis());

Route to(const char* name, PathMatchKind kind, const char* path, const char* cluster) {
  Route route{.name = name, .path = PathMatch{kind, path}};
  route.clusters.push_back({cluster, 1});
  return route;
}

Cluster cluster(const char* name, std::uint32_t connect_ms, std::uint32_t request_ms) {
  Cluster c{.name = name, .connect_timeout_ms = connect_ms, .request_timeout_ms = request_ms, .idle_timeout_ms = 300};
  return c;
}

}  // namespace

mgmt::spec::Endpoint extra_endpoint() { return {.cluster = "a", .name = "second", .address = "10.1.0.12:8080"}; }

Policy make_policy(bool odd, bool extra) {
  Policy p;
  Route canary = to("canary", PathMatchKind::prefix, "/a/", "b");
  canary.headers.push_back({.name = "x-canary", .value = "yes"});
  Route swap = to("swap", PathMatchKind::prefix, "/swap", odd ? "b" : "a");
  swap.response_fields.push_back({FieldOperation::set, "x-policy", odd ? "odd" : "even"});
  Route direct{.name = "direct", .path = PathMatch{PathMatchKind::exact, "/direct"}};
  direct.direct_response = DirectResponse{203, "text/plain", "hello there"};
  VirtualHost www{.name = "www", .hosts = {"www.example.com"}};
  www.routes = {canary,
                to("a", PathMatchKind::prefix, "/a", "a"),
                to("re", PathMatchKind::regex, "/re[0-9]+/.*", "c"),
                swap,
                direct,
                to("refused", PathMatchKind::prefix, "/refused", "refused"),
                to("gone", PathMatchKind::prefix, "/gone", "gone"),
                to("mute", PathMatchKind::prefix, "/mute", "mute"),
                to("narrow", PathMatchKind::prefix, "/narrow", "narrow")};
  VirtualHost b{.name = "b", .hosts = {"b.example.com"}};
  b.routes = {to("any", PathMatchKind::prefix, "/", "b")};
  p.route_tables.push_back({"table", {www, b}});
  p.certificates.push_back({"www", server_identity().certificate, server_identity().key, {"www.example.com"}});
  Listener http{.name = "http", .addresses = {"10.0.0.10", "fd00::10"}, .port = 80, .routes = "table"};
  http.timeouts = {.request_header_ms = patience_ms, .idle_ms = patience_ms, .stream_idle_ms = patience_ms};
  Listener https = http;
  https.name = "https";
  https.port = 443;
  https.protocol = ListenerProtocol::https;
  https.tls = ListenerTls{.certificates = {"www"}, .default_certificate = "www"};
  p.listeners = {http, https};
  for (const char* name : {"a", "b", "c", "l4", "udp"})
    p.clusters.push_back(cluster(name, connect_patience_ms, request_patience_ms));
  p.clusters.push_back(cluster("refused", connect_patience_ms, request_patience_ms));
  p.clusters.push_back(cluster("gone", 700, request_patience_ms));
  p.clusters.push_back(cluster("mute", connect_patience_ms, 900));
  p.clusters.push_back(cluster("narrow", connect_patience_ms, request_patience_ms));
  p.clusters.back().max_connections = 2;
  p.clusters[1].balance = Balance::least_request;
  p.endpoints = {
      {"a", "first", "10.1.0.11:8080"},   {"b", "first", "10.1.0.21:8080"},  {"b", "six", "[fd01::21]:8080"},
      {"c", "first", "10.1.0.31:8080"},   {"refused", "r", "10.1.0.11:9"},   {"gone", "g", "10.1.0.99:8080"},
      {"mute", "m", "10.1.0.41:8080"},    {"narrow", "n", "10.1.0.61:8080"}, {"l4", "first", "10.1.0.51:7000"},
      {"l4", "second", "10.1.0.52:7000"}, {"udp", "u1", "10.1.0.71:5353"},   {"udp", "u2", "10.1.0.72:5353"}};
  if (extra) p.endpoints.push_back(extra_endpoint());
  p.services.push_back({.name = "l4", .address = "10.0.0.20", .port = 7000, .cluster = "l4", .maglev_slots = 251});
  p.services.back().timeouts.tcp_syn_ms = 60'000;
  p.services.back().timeouts.tcp_established_ms = p.services.back().timeouts.tcp_fin_ms = patience_ms;
  p.services.push_back({.name = "udp",
                        .address = "10.0.0.21",
                        .protocol = ServiceProtocol::udp,
                        .port = 5353,
                        .cluster = "udp",
                        .maglev_slots = 251});
  p.services.back().timeouts.udp_ms = 30'000;
  return p;
}

Policy bad_policy() {
  Policy p = make_policy(false, false);
  p.route_tables[0].virtual_hosts[0].routes[1].clusters[0].cluster = "nobody";
  p.listeners[0].routes = "nothing";
  return p;
}

}  // namespace sluice::sim
