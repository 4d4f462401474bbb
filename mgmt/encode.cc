#include "mgmt/encode.h"

#include "mgmt/schema/policy_generated.h"

namespace sluice::mgmt {

namespace {

using flatbuffers::Offset;
using flatbuffers::String;

// What is empty is not written, so that JSON shows what the operator wrote.
class Encoder {
 public:
  explicit Encoder(PrivateKeys keys) : keys_(keys) {}

  Offset<String> text(const std::string& in) { return in.empty() ? Offset<String>{} : builder_.CreateString(in); }
  Offset<flatbuffers::Vector<Offset<String>>> texts(const std::vector<std::string>& in) {
    if (in.empty()) return {};
    return builder_.CreateVectorOfStrings(in);
  }
  template <typename In>
  auto list(const std::vector<In>& in) {
    using Table = decltype(write(in.front()));
    std::vector<Table> tables;
    tables.reserve(in.size());
    for (const In& each : in) tables.push_back(write(each));
    using Vector = decltype(builder_.CreateVector(tables));
    return tables.empty() ? Vector{} : builder_.CreateVector(tables);
  }

  Offset<fb::Certificate> write(const spec::Certificate& in) {
    const auto name = text(in.name), chain = text(in.chain_pem);
    const auto key = keys_ == PrivateKeys::keep ? text(in.key_pem) : Offset<String>{};
    const auto server_names = texts(in.server_names);
    return fb::CreateCertificate(builder_, name, chain, key, server_names);
  }
  Offset<fb::ListenerTls> write(const spec::ListenerTls& in) {
    const auto certificates = texts(in.certificates);
    const auto fallback = text(in.default_certificate);
    const auto alpn = texts(in.alpn), suites = texts(in.suites), groups = texts(in.groups);
    return fb::CreateListenerTls(builder_, certificates, fallback, in.require_known_server_name, alpn, suites, groups,
                                 in.tickets);
  }
  Offset<fb::Listener> write(const spec::Listener& in) {
    const auto name = text(in.name), ingress = text(in.ingress_port), routes = text(in.routes);
    const auto addresses = texts(in.addresses);
    const auto tls = in.tls ? write(*in.tls) : Offset<fb::ListenerTls>{};
    Offset<fb::ListenerLimits> limits;
    if (const auto& l = in.limits; l != spec::ListenerLimits{})
      limits = fb::CreateListenerLimits(builder_, l.max_connections, l.header_bytes, l.header_fields,
                                        l.request_line_bytes, l.requests_per_connection);
    Offset<fb::ListenerTimeouts> timeouts;
    if (const auto& t = in.timeouts; t != spec::ListenerTimeouts{})
      timeouts = fb::CreateListenerTimeouts(builder_, t.request_header_ms, t.idle_ms, t.stream_idle_ms);
    return fb::CreateListener(builder_, name, addresses, in.port, in.last_port, ingress,
                              static_cast<fb::ListenerProtocol>(in.protocol), tls, routes, limits, timeouts,
                              in.use_client_address);
  }
  // Headers and queries are the same struct but different tables.
  template <auto create, typename Table>
  Offset<flatbuffers::Vector<Offset<Table>>> matches(const std::vector<spec::ValueMatch>& in) {
    if (in.empty()) return {};
    std::vector<Offset<Table>> tables;
    for (const spec::ValueMatch& each : in) {
      const auto name = text(each.name), value = text(each.value);
      tables.push_back(create(builder_, name, static_cast<fb::ValueMatchKind>(each.kind), value, each.invert));
    }
    return builder_.CreateVector(tables);
  }
  Offset<fb::FieldEdit> write(const spec::FieldEdit& in) {
    const auto name = text(in.name), value = text(in.value);
    return fb::CreateFieldEdit(builder_, static_cast<fb::FieldOperation>(in.operation), name, value);
  }
  Offset<fb::RouteMatch> match(const spec::Route& in) {
    if (!in.path && in.method.empty() && in.headers.empty() && in.queries.empty()) return {};
    Offset<fb::PathMatch> path;
    if (in.path)
      path = fb::CreatePathMatch(builder_, static_cast<fb::PathMatchKind>(in.path->kind), text(in.path->value));
    const auto method = text(in.method);
    const auto headers = matches<fb::CreateHeaderMatch, fb::HeaderMatch>(in.headers);
    const auto queries = matches<fb::CreateQueryMatch, fb::QueryMatch>(in.queries);
    return fb::CreateRouteMatch(builder_, path, method, headers, queries);
  }
  Offset<fb::Redirect> write(const spec::Redirect& in) {
    const auto scheme = text(in.scheme), host = text(in.host), path = text(in.path), prefix = text(in.prefix);
    return fb::CreateRedirect(builder_, in.status, scheme, host, in.port, path, prefix);
  }
  Offset<fb::DirectResponse> write(const spec::DirectResponse& in) {
    const auto content_type = text(in.content_type), body = text(in.body);
    return fb::CreateDirectResponse(builder_, in.status, content_type, body);
  }
  Offset<fb::Rewrite> write(const spec::Rewrite& in) {
    const auto host = text(in.host), path = text(in.path), prefix = text(in.prefix);
    return fb::CreateRewrite(builder_, host, path, prefix);
  }
  Offset<fb::WeightedCluster> write(const spec::WeightedCluster& in) {
    return fb::CreateWeightedCluster(builder_, text(in.cluster), in.weight);
  }
  Offset<fb::Route> write(const spec::Route& in) {
    const auto name = text(in.name);
    const auto matched = match(in);
    const auto clusters = list(in.clusters);
    const auto redirect = in.redirect ? write(*in.redirect) : Offset<fb::Redirect>{};
    const auto answer = in.direct_response ? write(*in.direct_response) : Offset<fb::DirectResponse>{};
    const auto rewrite = in.rewrite ? write(*in.rewrite) : Offset<fb::Rewrite>{};
    const auto request_fields = list(in.request_fields), response_fields = list(in.response_fields);
    return fb::CreateRoute(builder_, name, matched, clusters, redirect, answer, rewrite, request_fields,
                           response_fields, in.request_timeout_ms, in.idle_timeout_ms, in.allow_upgrade);
  }
  Offset<fb::VirtualHost> write(const spec::VirtualHost& in) {
    const auto name = text(in.name);
    const auto hosts = texts(in.hosts);
    const auto routes = list(in.routes);
    return fb::CreateVirtualHost(builder_, name, hosts, routes);
  }
  Offset<fb::RouteTable> write(const spec::RouteTable& in) {
    const auto name = text(in.name);
    const auto hosts = list(in.virtual_hosts);
    return fb::CreateRouteTable(builder_, name, hosts);
  }
  Offset<fb::Cluster> write(const spec::Cluster& in) {
    return fb::CreateCluster(builder_, text(in.name), static_cast<fb::Balance>(in.balance), in.connect_timeout_ms,
                             in.request_timeout_ms, in.idle_timeout_ms, in.max_connections, in.max_pending,
                             in.max_requests, in.requests_per_connection);
  }
  Offset<fb::Endpoint> write(const spec::Endpoint& in) {
    const auto cluster = text(in.cluster), name = text(in.name), address = text(in.address);
    return fb::CreateEndpoint(builder_, cluster, name, address, in.weight);
  }
  Offset<fb::Service> write(const spec::Service& in) {
    const auto name = text(in.name), address = text(in.address), cluster = text(in.cluster);
    Offset<fb::ServiceTimeouts> timeouts;
    if (const auto& t = in.timeouts; t != spec::ServiceTimeouts{})
      timeouts = fb::CreateServiceTimeouts(builder_, t.tcp_syn_ms, t.tcp_established_ms, t.tcp_fin_ms, t.tcp_closed_ms,
                                           t.udp_ms, t.udp_one_way_ms);
    return fb::CreateService(builder_, name, address, static_cast<fb::ServiceProtocol>(in.protocol), in.port,
                             in.last_port, static_cast<fb::ForwardMode>(in.mode), cluster, in.maglev_slots, timeouts);
  }

  std::vector<std::uint8_t> finish(const spec::Policy& in) {
    const auto listeners = list(in.listeners);
    const auto certificates = list(in.certificates);
    const auto route_tables = list(in.route_tables);
    const auto clusters = list(in.clusters);
    const auto endpoints = list(in.endpoints);
    const auto services = list(in.services);
    fb::FinishPolicyBuffer(
        builder_, fb::CreatePolicy(builder_, listeners, certificates, route_tables, clusters, endpoints, services));
    return {builder_.GetBufferPointer(), builder_.GetBufferPointer() + builder_.GetSize()};
  }

 private:
  flatbuffers::FlatBufferBuilder builder_{64 * 1024};
  PrivateKeys keys_;
};

}  // namespace

std::vector<std::uint8_t> encode_policy(const spec::Policy& policy, PrivateKeys keys) {
  return Encoder{keys}.finish(policy);
}

}  // namespace sluice::mgmt
