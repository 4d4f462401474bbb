// Route tables to route::Table.
#include <fmt/format.h>

#include "mgmt/compile_parts.h"

namespace sluice::mgmt {

namespace {

namespace to = route::spec;

to::PathMatch::Kind kind_of(spec::PathMatchKind kind) {
  switch (kind) {
    case spec::PathMatchKind::exact: return to::PathMatch::Kind::exact;
    case spec::PathMatchKind::prefix: return to::PathMatch::Kind::prefix;
    case spec::PathMatchKind::regex: break;
  }
  return to::PathMatch::Kind::regex;
}

to::ValueMatch match_of(const spec::ValueMatch& in) {
  using Kind = to::ValueMatch::Kind;
  constexpr Kind kinds[] = {Kind::exact, Kind::prefix,  Kind::suffix, Kind::contains,
                            Kind::regex, Kind::present, Kind::absent};
  return {kinds[static_cast<std::size_t>(in.kind)], in.value, in.invert};
}

std::optional<std::string> given(const std::string& text) { return text.empty() ? std::nullopt : std::optional{text}; }

std::vector<to::FieldEdit> edits_of(const std::vector<spec::FieldEdit>& in) {
  using Op = http::FieldEdit::Op;
  constexpr Op operations[] = {Op::set, Op::append, Op::remove};
  std::vector<to::FieldEdit> out;
  for (const spec::FieldEdit& edit : in)
    out.push_back({operations[static_cast<std::size_t>(edit.operation)], edit.name, edit.value});
  return out;
}

to::Route route_of(const spec::Route& in, const IdOf& id_of) {
  to::Route out;
  out.name = in.name;
  out.id = in.name.empty() ? policy::no_id : id_of(policy::ObjectKind::route, in.name).id;
  if (in.path) out.path = {kind_of(in.path->kind), in.path->value};
  out.method = in.method;
  for (const spec::ValueMatch& header : in.headers) out.headers.push_back({header.name, match_of(header)});
  for (const spec::ValueMatch& query : in.queries) out.queries.push_back({query.name, match_of(query)});
  for (const spec::WeightedCluster& each : in.clusters)
    out.clusters.push_back({id_of(policy::ObjectKind::cluster, each.cluster).id, each.weight});
  if (const auto& r = in.redirect)
    out.redirect = to::Redirect{r->status, r->scheme, r->host, r->port, given(r->path), given(r->prefix)};
  if (const auto& d = in.direct_response) {
    out.direct = to::DirectResponse{d->status, d->body};
    if (!d->content_type.empty()) out.direct->content_type = d->content_type;
  }
  if (const auto& r = in.rewrite) out.rewrite = {r->host, given(r->path), given(r->prefix)};
  // 0 leaves it to the cluster and to the listener: what they say may change without this table.
  out.timeouts = {.request = from_ms(in.request_timeout_ms), .per_try = {}, .idle = from_ms(in.idle_timeout_ms)};
  out.request_fields = edits_of(in.request_fields);
  out.response_fields = edits_of(in.response_fields);
  out.allow_upgrade = in.allow_upgrade;
  return out;
}

// Where route::compile found a fault, in the words of the schema.
std::string place_in_policy(std::string place, const Path& table) {
  const auto replace = [&](std::string_view from, std::string_view with) {
    if (const std::size_t at = place.find(from); at != place.npos) place.replace(at, from.size(), with);
  };
  if (place.starts_with("hosts[")) place.insert(0, "virtual_");
  replace("].path", "].match.path");
  replace("].method", "].match.method");
  replace("].headers[", "].match.headers[");
  replace("].queries[", "].match.queries[");
  replace("].match.value", "].value");
  replace("].match.kind", "].kind");
  replace("].direct", "].direct_response");
  replace("].timeouts.request", "].request_timeout_ms");
  replace("].timeouts.idle", "].idle_timeout_ms");
  return place.empty() ? table.text() : fmt::format("{}.{}", table.text(), place);
}

}  // namespace

std::shared_ptr<const route::Table> build_table(const spec::RouteTable& table, const Path& path, const Means& means,
                                                const IdOf& id_of, Faults& faults) {
  to::Spec spec;
  spec.hosts.reserve(table.virtual_hosts.size());
  for (const spec::VirtualHost& in : table.virtual_hosts) {
    to::VirtualHost& host = spec.hosts.emplace_back();
    host.name = in.name;
    host.id = policy::no_id;
    host.hosts = in.hosts;
    if (host.hosts.empty()) host.hosts.emplace_back("*");
    host.routes.reserve(in.routes.size());
    for (const spec::Route& route : in.routes) host.routes.push_back(route_of(route, id_of));
  }
  auto compiled = route::compile(spec, means.databases, means.route_limits);
  if (compiled) return std::make_shared<const route::Table>(std::move(*compiled));
  for (route::Error& error : compiled.error())
    faults.push_back({place_in_policy(std::move(error.path), path), std::move(error.text)});
  return nullptr;
}

}  // namespace sluice::mgmt

// Tested in tests/unit/mgmt/publish_test.cc.
