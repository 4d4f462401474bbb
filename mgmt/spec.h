// spec.h - a policy as the operator wrote it, in plain structs: names, texts and numbers, defaults filled in.
// Made by decode from a verified buffer, checked by validate, compared by diff, compiled by compile, written by encode.
// Equality is by value, so that what did not change is recognised. Times are milliseconds, 0 is off unless the schema
// (mgmt/schema/policy.fbs, where every field is explained) says otherwise.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sluice::mgmt::spec {

enum class ListenerProtocol : std::uint8_t { http, https };
enum class Balance : std::uint8_t { round_robin, random, least_request };
enum class PathMatchKind : std::uint8_t { exact, prefix, regex };
enum class ValueMatchKind : std::uint8_t { exact, prefix, suffix, contains, regex, present, absent };
enum class FieldOperation : std::uint8_t { set, add, remove };
enum class ServiceProtocol : std::uint8_t { tcp, udp };
enum class ForwardMode : std::uint8_t { full_nat };

struct Certificate {
  std::string name;
  std::string chain_pem;
  std::string key_pem;
  std::vector<std::string> server_names;
  bool operator==(const Certificate&) const = default;
};

struct ListenerTls {
  std::vector<std::string> certificates;
  std::string default_certificate;
  bool require_known_server_name = false;
  std::vector<std::string> alpn;
  std::vector<std::string> suites;
  std::vector<std::string> groups;
  std::uint8_t tickets = 2;
  bool operator==(const ListenerTls&) const = default;
};

struct ListenerLimits {
  std::uint32_t max_connections = 0;
  std::uint32_t header_bytes = 61440;
  std::uint16_t header_fields = 100;
  std::uint32_t request_line_bytes = 8192;
  std::uint32_t requests_per_connection = 0;
  bool operator==(const ListenerLimits&) const = default;
};

struct ListenerTimeouts {
  std::uint32_t request_header_ms = 10'000;
  std::uint32_t idle_ms = 3'600'000;
  std::uint32_t stream_idle_ms = 300'000;
  bool operator==(const ListenerTimeouts&) const = default;
};

struct Listener {
  std::string name;
  std::vector<std::string> addresses;
  std::uint16_t port = 0;
  std::uint16_t last_port = 0;
  std::string ingress_port;
  ListenerProtocol protocol = ListenerProtocol::http;
  std::optional<ListenerTls> tls;
  std::string routes;
  ListenerLimits limits;
  ListenerTimeouts timeouts;
  bool use_client_address = false;
  bool operator==(const Listener&) const = default;
};

struct PathMatch {
  PathMatchKind kind = PathMatchKind::prefix;
  std::string value;
  bool operator==(const PathMatch&) const = default;
};

// Of a header field or a query parameter.
struct ValueMatch {
  std::string name;
  ValueMatchKind kind = ValueMatchKind::exact;
  std::string value;
  bool invert = false;
  bool operator==(const ValueMatch&) const = default;
};

struct WeightedCluster {
  std::string cluster;
  std::uint32_t weight = 1;
  bool operator==(const WeightedCluster&) const = default;
};

struct DirectResponse {
  std::uint16_t status = 200;
  std::string content_type;
  std::string body;
  bool operator==(const DirectResponse&) const = default;
};

struct Redirect {
  std::uint16_t status = 302;
  std::string scheme;
  std::string host;
  std::uint16_t port = 0;
  std::string path;
  std::string prefix;
  bool operator==(const Redirect&) const = default;
};

struct Rewrite {
  std::string host;
  std::string path;
  std::string prefix;
  bool operator==(const Rewrite&) const = default;
};

struct FieldEdit {
  FieldOperation operation = FieldOperation::set;
  std::string name;
  std::string value;
  bool operator==(const FieldEdit&) const = default;
};

struct Route {
  std::string name;
  std::optional<PathMatch> path;
  std::string method;
  std::vector<ValueMatch> headers;
  std::vector<ValueMatch> queries;
  std::vector<WeightedCluster> clusters;
  std::optional<Redirect> redirect;
  std::optional<DirectResponse> direct_response;
  std::optional<Rewrite> rewrite;
  std::vector<FieldEdit> request_fields;
  std::vector<FieldEdit> response_fields;
  std::uint32_t request_timeout_ms = 0;
  std::uint32_t idle_timeout_ms = 0;
  bool allow_upgrade = false;
  bool operator==(const Route&) const = default;
};

struct VirtualHost {
  std::string name;
  std::vector<std::string> hosts;
  std::vector<Route> routes;
  bool operator==(const VirtualHost&) const = default;
};

struct RouteTable {
  std::string name;
  std::vector<VirtualHost> virtual_hosts;
  bool operator==(const RouteTable&) const = default;
};

struct Cluster {
  std::string name;
  Balance balance = Balance::round_robin;
  std::uint32_t connect_timeout_ms = 5'000;
  std::uint32_t request_timeout_ms = 15'000;
  std::uint32_t idle_timeout_ms = 60'000;
  std::uint32_t max_connections = 1024;
  std::uint32_t max_pending = 1024;
  std::uint32_t max_requests = 1024;
  std::uint32_t requests_per_connection = 0;
  bool operator==(const Cluster&) const = default;
};

struct Endpoint {
  std::string cluster;
  std::string name;
  std::string address;
  std::uint32_t weight = 1;
  bool operator==(const Endpoint&) const = default;
};

struct ServiceTimeouts {
  std::uint32_t tcp_syn_ms = 5'000;
  std::uint32_t tcp_established_ms = 900'000;
  std::uint32_t tcp_fin_ms = 30'000;
  std::uint32_t tcp_closed_ms = 5'000;
  std::uint32_t udp_ms = 300'000;
  std::uint32_t udp_one_way_ms = 30'000;
  bool operator==(const ServiceTimeouts&) const = default;
};

struct Service {
  std::string name;
  std::string address;
  ServiceProtocol protocol = ServiceProtocol::tcp;
  std::uint16_t port = 0;
  std::uint16_t last_port = 0;
  ForwardMode mode = ForwardMode::full_nat;
  std::string cluster;
  std::uint32_t maglev_slots = 65537;
  ServiceTimeouts timeouts;
  bool operator==(const Service&) const = default;
};

struct Policy {
  std::vector<Listener> listeners;
  std::vector<Certificate> certificates;
  std::vector<RouteTable> route_tables;
  std::vector<Cluster> clusters;
  std::vector<Endpoint> endpoints;
  std::vector<Service> services;
  bool operator==(const Policy&) const = default;
};

struct EndpointName {
  std::string cluster;
  std::string name;
  bool operator==(const EndpointName&) const = default;
};

// Changes of endpoints alone: those of `set` are added or replaced, those of `remove` go. All of it or nothing.
struct EndpointDelta {
  std::vector<Endpoint> set;
  std::vector<EndpointName> remove;
  bool operator==(const EndpointDelta&) const = default;
};

}  // namespace sluice::mgmt::spec

namespace sluice::mgmt {

// What is wrong with a policy, and where: path "listeners[2].tls.certificates[0]", message `unknown certificate "x"`.
struct Fault {
  std::string path;
  std::string message;
  bool operator==(const Fault&) const = default;
};
using Faults = std::vector<Fault>;

}  // namespace sluice::mgmt

// Tested in tests/unit/mgmt/decode_test.cc.
