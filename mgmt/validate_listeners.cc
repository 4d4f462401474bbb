// Listeners, their TLS, certificates and L4 services.
#include <algorithm>
#include <array>
#include <string_view>

#include "crypto/tls/server_context.h"
#include "l4/maglev.h"
#include "mgmt/validate_rules.h"

namespace sluice::mgmt {

namespace {

constexpr std::array<std::string_view, 1> known_alpn{"http/1.1"};
constexpr std::array<std::string_view, 3> known_suites{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                                       "TLS_CHACHA20_POLY1305_SHA256"};
constexpr std::array<std::string_view, 3> known_groups{"X25519", "P-256", "P-384"};

// Each entry known and given once.
void choices(Rules& rules, const std::vector<std::string>& given, std::span<const std::string_view> known,
             const Path& list) {
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (std::ranges::find(known, given[i]) == known.end())
      rules.fault(list[i], "unknown value \"{}\"; known: {}", given[i], fmt::join(known, ", "));
    else if (std::find(given.begin(), given.begin() + static_cast<std::ptrdiff_t>(i), given[i]) !=
             given.begin() + static_cast<std::ptrdiff_t>(i))
      rules.fault(list[i], "\"{}\" is given twice", given[i]);
  }
}

void address(Rules& rules, const std::string& given, const Path& path) {
  if (!parse_ip(given) && !parse_prefix(given))
    rules.fault(path, "\"{}\" is neither an address nor a prefix (192.0.2.0/24, 2001:db8::/32)", given);
}

void addresses(Rules& rules, const std::vector<std::string>& given, const Path& list) {
  for (std::size_t i = 0; i < given.size(); ++i) address(rules, given[i], list[i]);
}

// An address of a listener that is one host, not a network.
std::optional<IpAddress> single_address(const std::string& given) {
  if (const auto ip = parse_ip(given)) return *ip;
  const auto prefix = parse_prefix(given);
  if (prefix && prefix->length == (prefix->address.is_v4() ? 32 : 128)) return prefix->address;
  return std::nullopt;
}

// What comes for a port that the node speaks from belongs to its own connections, before any listener.
void spoken_ports(Rules& rules, const spec::Listener& listener, PortRange ports, const Path& path) {
  for (std::size_t i = 0; i < listener.addresses.size(); ++i)
    for (const LocalRange& range : rules.node.speaks)
      if (single_address(listener.addresses[i]) == range.address && range.ports.first <= ports.last &&
          ports.first <= range.ports.last)
        rules.fault(path / "port", "the node speaks from ports {} to {} of {} ({}.ports of the node file)",
                    range.ports.first, range.ports.last, listener.addresses[i],
                    range.use == LocalUse::snat ? "snat" : "upstream");
}

bool is_server_name(std::string_view name) {
  if (name.starts_with("*.")) name.remove_prefix(2);
  if (name.empty() || name.size() > 253 || name.starts_with('.') || name.ends_with('.')) return false;
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_';
  });
}

}  // namespace

void Rules::certificates() {
  const Path list{"certificates"};
  for (std::size_t i = 0; i < policy.certificates.size(); ++i) {
    const spec::Certificate& certificate = policy.certificates[i];
    const Path path = list[i];
    unique_name(names.certificates, certificate.name, i, list);
    if (certificate.chain_pem.empty()) fault(path / "chain_pem", "a certificate chain in PEM is needed");
    if (certificate.key_pem.empty()) fault(path / "key_pem", "a private key in PEM is needed");
    const Path server_names = path / "server_names";
    for (std::size_t k = 0; k < certificate.server_names.size(); ++k)
      if (!is_server_name(certificate.server_names[k]))
        fault(server_names[k], "\"{}\" is not a server name (www.example.com, *.example.com)",
              certificate.server_names[k]);
  }
}

void Rules::tls(const spec::Listener& listener, const Path& path) {
  const bool https = listener.protocol == spec::ListenerProtocol::https;
  const Path at = path / "tls";
  if (https != listener.tls.has_value()) {
    fault(at, "{}", https ? "protocol https needs tls" : "tls needs protocol https");
    if (!listener.tls) return;
  }
  if (!https) return;
  const spec::ListenerTls& tls = *listener.tls;
  const Path list = at / "certificates";
  if (tls.certificates.empty()) fault(list, "at least one certificate is needed");
  for (std::size_t i = 0; i < tls.certificates.size(); ++i)
    if (!names.certificates.contains(tls.certificates[i]))
      fault(list[i], "unknown certificate \"{}\"", tls.certificates[i]);
  if (!tls.default_certificate.empty()) {
    const Path fallback = at / "default_certificate";
    if (std::ranges::find(tls.certificates, tls.default_certificate) == tls.certificates.end())
      fault(fallback, "\"{}\" is not one of the listener's certificates", tls.default_certificate);
    if (tls.require_known_server_name) fault(fallback, "there is no default where require_known_server_name is set");
  }
  choices(*this, tls.alpn, known_alpn, at / "alpn");
  choices(*this, tls.suites, known_suites, at / "suites");
  choices(*this, tls.groups, known_groups, at / "groups");
  if (tls.tickets > 8) fault(at / "tickets", "{} is more than 8", tls.tickets);
}

void Rules::limits(const spec::Listener& listener, const Path& path) {
  const Path limits = path / "limits", timeouts = path / "timeouts";
  const spec::ListenerLimits& l = listener.limits;
  if (l.header_bytes < 1024 || l.header_bytes > http::max_head_bytes)
    fault(limits / "header_bytes", "{} is not in 1024 to {}", l.header_bytes, http::max_head_bytes);
  if (l.header_fields < 1 || l.header_fields > http::max_fields)
    fault(limits / "header_fields", "{} is not in 1 to {}", l.header_fields, http::max_fields);
  if (l.request_line_bytes < 64 || l.request_line_bytes > l.header_bytes)
    fault(limits / "request_line_bytes", "{} is not in 64 to header_bytes", l.request_line_bytes);
  needed_timeout(listener.timeouts.request_header_ms, timeouts / "request_header_ms");
  timeout(listener.timeouts.idle_ms, timeouts / "idle_ms");
  timeout(listener.timeouts.stream_idle_ms, timeouts / "stream_idle_ms");
}

void Rules::listeners() {
  const Path list{"listeners"};
  if (policy.listeners.size() > node.limits.listeners)
    fault(list, "{} listeners are more than the node's limit of {}", policy.listeners.size(), node.limits.listeners);
  for (std::size_t i = 0; i < policy.listeners.size(); ++i) {
    const spec::Listener& listener = policy.listeners[i];
    const Path path = list[i];
    unique_name(names.listeners, listener.name, i, list);
    addresses(*this, listener.addresses, path / "addresses");
    const auto ports = port_range(listener.port, listener.last_port, false);
    if (listener.port == 0) fault(path / "port", "a port is needed");
    else if (!ports) fault(path / "last_port", "{} is below port {}", listener.last_port, listener.port);
    else spoken_ports(*this, listener, {ports->first, ports->second}, path);
    if (!listener.ingress_port.empty() && std::ranges::find(node.ports, listener.ingress_port) == node.ports.end())
      fault(path / "ingress_port", "the node has no port \"{}\"; it has: {}", listener.ingress_port,
            fmt::join(node.ports, ", "));
    if (!names.route_tables.contains(listener.routes)) {
      if (listener.routes.empty()) fault(path / "routes", "the name of a route table is needed");
      else fault(path / "routes", "unknown route table \"{}\"", listener.routes);
    }
    tls(listener, path);
    limits(listener, path);
  }
}

void Rules::services() {
  const Path list{"services"};
  if (policy.services.size() > node.limits.services)
    fault(list, "{} services are more than the node's limit of {}", policy.services.size(), node.limits.services);
  for (std::size_t i = 0; i < policy.services.size(); ++i) {
    const spec::Service& service = policy.services[i];
    const Path path = list[i];
    unique_name(names.services, service.name, i, list);
    address(*this, service.address, path / "address");
    if (!port_range(service.port, service.last_port, true))
      fault(path / "last_port", "{} is below port {}, or there is no port", service.last_port, service.port);
    if (!names.clusters.contains(service.cluster)) fault(path / "cluster", "unknown cluster \"{}\"", service.cluster);
    if (!maglev_size_is_good(service.maglev_slots))
      fault(path / "maglev_slots", "{} is not a prime from 3 to {}", service.maglev_slots, maglev_largest_size);
    const Path timeouts = path / "timeouts";
    const spec::ServiceTimeouts& t = service.timeouts;
    needed_timeout(t.tcp_syn_ms, timeouts / "tcp_syn_ms");
    needed_timeout(t.tcp_established_ms, timeouts / "tcp_established_ms");
    needed_timeout(t.tcp_fin_ms, timeouts / "tcp_fin_ms");
    needed_timeout(t.tcp_closed_ms, timeouts / "tcp_closed_ms");
    needed_timeout(t.udp_ms, timeouts / "udp_ms");
    needed_timeout(t.udp_one_way_ms, timeouts / "udp_one_way_ms");
  }
}

}  // namespace sluice::mgmt

// Tested in tests/unit/mgmt/validate_test.cc.
