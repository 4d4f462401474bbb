#include "mgmt/decode.h"

#include <fmt/format.h>

#include <algorithm>
#include <concepts>
#include <cstring>
#include <memory>
#include <utility>

#include "mgmt/path.h"

namespace sluice::mgmt {

namespace {

// Thrown when the spec would grow over its budget; caught at the entry points below.
struct OverBudget {};
// What a fault takes, about: a buffer may have millions of them.
constexpr std::size_t fault_bytes = 256;

class Decoder {
 public:
  explicit Decoder(std::size_t budget) : budget_(budget) {}

  Faults take_faults() { return std::move(faults_); }

  void spend(std::size_t bytes) {
    if (bytes > budget_) throw OverBudget{};
    budget_ -= bytes;
  }
  std::string text(const flatbuffers::String* in) {
    if (!in) return {};
    spend(in->size());
    return in->str();
  }
  std::vector<std::string> texts(const flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>* in) {
    std::vector<std::string> out;
    if (!in) return out;
    spend(in->size() * sizeof(std::string));
    out.reserve(in->size());
    for (const flatbuffers::String* each : *in) out.push_back(text(each));
    return out;
  }
  // The schema's enums and the spec's have the same values in the same order.
  template <typename To, typename From>
  To choice(From in, From last, const Path& path) {
    if (in > last) {
      spend(fault_bytes);
      faults_.push_back({path.text(), fmt::format("value {} is not known to this sluiced", unsigned(in))});
    }
    return static_cast<To>(in);
  }
  template <typename In>
  auto list(const flatbuffers::Vector<flatbuffers::Offset<In>>* in, const Path& path) {
    using Out = decltype(read(std::declval<const In&>(), path));
    std::vector<Out> out;
    if (!in) return out;
    spend(in->size() * sizeof(Out));
    out.reserve(in->size());
    for (flatbuffers::uoffset_t i = 0; i < in->size(); ++i) out.push_back(read(*in->Get(i), path[i]));
    return out;
  }

  spec::Certificate read(const fb::Certificate& in, const Path&) {
    return {.name = text(in.name()),
            .chain_pem = text(in.chain_pem()),
            .key_pem = text(in.key_pem()),
            .server_names = texts(in.server_names())};
  }
  spec::ListenerTls read(const fb::ListenerTls& in) {
    return {.certificates = texts(in.certificates()),
            .default_certificate = text(in.default_certificate()),
            .require_known_server_name = in.require_known_server_name(),
            .alpn = texts(in.alpn()),
            .suites = texts(in.suites()),
            .groups = texts(in.groups()),
            .tickets = in.tickets()};
  }
  spec::Listener read(const fb::Listener& in, const Path& path) {
    spec::Listener out{
        .name = text(in.name()),
        .addresses = texts(in.addresses()),
        .port = in.port(),
        .last_port = in.last_port(),
        .ingress_port = text(in.ingress_port()),
        .protocol = choice<spec::ListenerProtocol>(in.protocol(), fb::ListenerProtocol::MAX, path / "protocol"),
        .tls = {},
        .routes = text(in.routes()),
        .limits = {},
        .timeouts = {},
        .use_client_address = in.use_client_address()};
    if (in.tls()) out.tls = read(*in.tls());
    if (const auto* limits = in.limits())
      out.limits = {limits->max_connections(), limits->header_bytes(), limits->header_fields(),
                    limits->request_line_bytes(), limits->requests_per_connection()};
    if (const auto* timeouts = in.timeouts())
      out.timeouts = {timeouts->request_header_ms(), timeouts->idle_ms(), timeouts->stream_idle_ms()};
    return out;
  }
  template <typename In>
    requires std::same_as<In, fb::HeaderMatch> || std::same_as<In, fb::QueryMatch>
  spec::ValueMatch read(const In& in, const Path& path) {
    return {.name = text(in.name()),
            .kind = choice<spec::ValueMatchKind>(in.kind(), fb::ValueMatchKind::MAX, path / "kind"),
            .value = text(in.value()),
            .invert = in.invert()};
  }
  spec::FieldEdit read(const fb::FieldEdit& in, const Path& path) {
    return {.operation = choice<spec::FieldOperation>(in.operation(), fb::FieldOperation::MAX, path / "operation"),
            .name = text(in.name()),
            .value = text(in.value())};
  }
  spec::WeightedCluster read(const fb::WeightedCluster& in, const Path&) { return {text(in.cluster()), in.weight()}; }
  spec::Route read(const fb::Route& in, const Path& path) {
    spec::Route out;
    out.name = text(in.name());
    if (const auto* match = in.match()) {
      const Path at = path / "match";
      if (const auto* p = match->path()) {
        const Path path_at = at / "path";
        out.path = {choice<spec::PathMatchKind>(p->kind(), fb::PathMatchKind::MAX, path_at / "kind"), text(p->value())};
      }
      out.method = text(match->method());
      out.headers = list(match->headers(), at / "headers");
      out.queries = list(match->queries(), at / "queries");
    }
    out.clusters = list(in.clusters(), path / "clusters");
    if (const auto* to = in.redirect())
      out.redirect = {to->status(), text(to->scheme()), text(to->host()),
                      to->port(),   text(to->path()),   text(to->prefix())};
    if (const auto* answer = in.direct_response())
      out.direct_response = {answer->status(), text(answer->content_type()), text(answer->body())};
    if (const auto* to = in.rewrite()) out.rewrite = {text(to->host()), text(to->path()), text(to->prefix())};
    out.request_fields = list(in.request_fields(), path / "request_fields");
    out.response_fields = list(in.response_fields(), path / "response_fields");
    out.request_timeout_ms = in.request_timeout_ms();
    out.idle_timeout_ms = in.idle_timeout_ms();
    out.allow_upgrade = in.allow_upgrade();
    return out;
  }
  spec::VirtualHost read(const fb::VirtualHost& in, const Path& path) {
    return {.name = text(in.name()), .hosts = texts(in.hosts()), .routes = list(in.routes(), path / "routes")};
  }
  spec::RouteTable read(const fb::RouteTable& in, const Path& path) {
    return {.name = text(in.name()), .virtual_hosts = list(in.virtual_hosts(), path / "virtual_hosts")};
  }
  spec::Cluster read(const fb::Cluster& in, const Path& path) {
    return {.name = text(in.name()),
            .balance = choice<spec::Balance>(in.balance(), fb::Balance::MAX, path / "balance"),
            .connect_timeout_ms = in.connect_timeout_ms(),
            .request_timeout_ms = in.request_timeout_ms(),
            .idle_timeout_ms = in.idle_timeout_ms(),
            .max_connections = in.max_connections(),
            .max_pending = in.max_pending(),
            .max_requests = in.max_requests(),
            .requests_per_connection = in.requests_per_connection()};
  }
  spec::Endpoint read(const fb::Endpoint& in, const Path&) {
    return {text(in.cluster()), text(in.name()), text(in.address()), in.weight()};
  }
  spec::EndpointName read(const fb::EndpointName& in, const Path&) { return {text(in.cluster()), text(in.name())}; }
  spec::Service read(const fb::Service& in, const Path& path) {
    spec::Service out{
        .name = text(in.name()),
        .address = text(in.address()),
        .protocol = choice<spec::ServiceProtocol>(in.protocol(), fb::ServiceProtocol::MAX, path / "protocol"),
        .port = in.port(),
        .last_port = in.last_port(),
        .mode = choice<spec::ForwardMode>(in.mode(), fb::ForwardMode::MAX, path / "mode"),
        .cluster = text(in.cluster()),
        .maglev_slots = in.maglev_slots(),
        .timeouts = {}};
    if (const auto* t = in.timeouts())
      out.timeouts = {t->tcp_syn_ms(), t->tcp_established_ms(), t->tcp_fin_ms(), t->tcp_closed_ms(),
                      t->udp_ms(),     t->udp_one_way_ms()};
    return out;
  }
  spec::Policy read(const fb::Policy& in) {
    return {.listeners = list(in.listeners(), Path{"listeners"}),
            .certificates = list(in.certificates(), Path{"certificates"}),
            .route_tables = list(in.route_tables(), Path{"route_tables"}),
            .clusters = list(in.clusters(), Path{"clusters"}),
            .endpoints = list(in.endpoints(), Path{"endpoints"}),
            .services = list(in.services(), Path{"services"})};
  }

 private:
  std::size_t budget_;
  Faults faults_;
};

std::unexpected<Faults> refuse(std::string message) { return std::unexpected{Faults{{"", std::move(message)}}}; }

}  // namespace

std::expected<spec::Policy, Faults> decode_policy(ByteView bytes, const DecodeLimits& limits) {
  if (bytes.size() > limits.bytes)
    return refuse(fmt::format("{} bytes are more than the limit of {}", bytes.size(), limits.bytes));
  if (bytes.size() < 8) return refuse(fmt::format("{} bytes are not a Policy buffer", bytes.size()));
  // Operator new aligns to 16, which FlatBuffers' largest scalar needs and a socket's buffer does not promise.
  const auto copy = std::make_unique_for_overwrite<std::uint8_t[]>(bytes.size());
  std::memcpy(copy.get(), bytes.data(), bytes.size());

  // A table that is written once takes at least 4 bytes, and 4 more where it is referred to.
  const std::size_t tables = std::min(limits.tables, bytes.size() / 8 + 1);
  flatbuffers::Verifier verifier{copy.get(), bytes.size(), 16, static_cast<flatbuffers::uoffset_t>(tables)};
  if (!fb::PolicyBufferHasIdentifier(copy.get())) return refuse("not a Policy buffer (identifier SLPO)");
  if (!fb::VerifyPolicyBuffer(verifier))
    return refuse("the Policy buffer is damaged, or holds more tables than the limit");

  Decoder decoder{limits.decoded_bytes};
  try {
    spec::Policy policy = decoder.read(*fb::GetPolicy(copy.get()));
    if (Faults faults = decoder.take_faults(); !faults.empty()) return std::unexpected{std::move(faults)};
    return policy;
  } catch (const OverBudget&) {
    return refuse(fmt::format("the policy unfolds to more than {} bytes", limits.decoded_bytes));
  }
}

std::expected<spec::EndpointDelta, Faults> decode_delta(const fb::EndpointDelta& delta, const DecodeLimits& limits) {
  Decoder decoder{limits.decoded_bytes};
  try {
    return spec::EndpointDelta{.set = decoder.list(delta.set(), Path{"set"}),
                               .remove = decoder.list(delta.remove(), Path{"remove"})};
  } catch (const OverBudget&) {
    return refuse(fmt::format("the delta unfolds to more than {} bytes", limits.decoded_bytes));
  }
}

}  // namespace sluice::mgmt
