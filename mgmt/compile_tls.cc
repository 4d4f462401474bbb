// Certificates and a listener's TLS to a tls::ServerContext.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "mgmt/certificate.h"
#include "mgmt/compile_parts.h"

namespace sluice::mgmt {

namespace {

const spec::Certificate* find(const spec::Policy& policy, std::string_view name) {
  const auto found = std::ranges::find(policy.certificates, name, &spec::Certificate::name);
  return found == policy.certificates.end() ? nullptr : &*found;
}

// A listener's certificates sorted into the names they answer for.
struct Sorting {
  tls::ServerConfig config;
  std::vector<std::vector<std::size_t>> origin;  // by place in config.named: positions in policy.certificates
  std::vector<std::size_t> fallback_origin;
};

tls::Identity identity(const spec::Certificate& certificate) { return {certificate.chain_pem, certificate.key_pem}; }

// nullopt where a certificate cannot be read; the fault says which.
std::optional<Sorting> sort_by_name(const spec::ListenerTls& tls, const spec::Policy& policy, Faults& faults,
                                    Faults& warnings) {
  std::map<std::string, std::vector<std::size_t>> by_name;
  std::map<std::size_t, std::set<std::string>> names_of;
  bool good = true;
  for (const std::string& name : tls.certificates) {
    const spec::Certificate* certificate = find(policy, name);
    if (!certificate) return std::nullopt;
    const auto position = static_cast<std::size_t>(certificate - policy.certificates.data());
    if (names_of.contains(position)) continue;
    auto names = server_names_of(certificate->chain_pem);
    if (!names) {
      faults.push_back(
          {fmt::format("certificates[{}].chain_pem", position), "holds no certificate in PEM that can be read"});
      good = false;
      continue;
    }
    if (!certificate->server_names.empty()) names = certificate->server_names;
    if (names->empty())
      warnings.push_back({fmt::format("certificates[{}]", position), "names no server; it can be a default only"});
    for (std::string& each : *names) {
      std::ranges::transform(each, each.begin(),
                             [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
      if (names_of[position].insert(each).second) by_name[each].push_back(position);
    }
    names_of[position];
  }
  if (!good || tls.certificates.empty()) return std::nullopt;

  Sorting out;
  std::map<std::vector<std::size_t>, std::vector<std::string>> by_identities;
  for (const auto& [name, positions] : by_name) by_identities[positions].push_back(name);
  for (const auto& [positions, names] : by_identities) {
    tls::NamedIdentities& named = out.config.named.emplace_back();
    named.names = names;
    for (std::size_t position : positions) named.identities.push_back(identity(policy.certificates[position]));
    out.origin.push_back(positions);
  }
  if (!tls.require_known_server_name) {
    // With the default go those of the same names: the same server with another type of key.
    const std::string& name = tls.default_certificate.empty() ? tls.certificates.front() : tls.default_certificate;
    const spec::Certificate* first = find(policy, name);
    if (!first) return std::nullopt;
    const auto position = static_cast<std::size_t>(first - policy.certificates.data());
    out.fallback_origin.push_back(position);
    if (!names_of[position].empty())
      for (const auto& [other, names] : names_of)
        if (other != position && names == names_of[position]) out.fallback_origin.push_back(other);
    for (std::size_t each : out.fallback_origin) out.config.fallback.push_back(identity(policy.certificates[each]));
  }
  return out;
}

// "named[2].identities[0].private_key_pem" to "certificates[5].key_pem".
std::string place_in_policy(std::string_view place, const Sorting& sorting, const Path& path) {
  const auto number_after = [&](std::string_view what) -> std::optional<std::size_t> {
    const std::size_t at = place.find(what);
    std::size_t value = 0;
    if (at == place.npos) return std::nullopt;
    const char* begin = place.data() + at + what.size();
    if (std::from_chars(begin, place.data() + place.size(), value).ec != std::errc{}) return std::nullopt;
    return value;
  };
  std::optional<std::size_t> origin;
  if (const auto named = number_after("named["); named && *named < sorting.origin.size()) {
    const auto which = number_after("identities[");
    if (which && *which < sorting.origin[*named].size()) origin = sorting.origin[*named][*which];
  } else if (const auto which = number_after("fallback["); which && *which < sorting.fallback_origin.size()) {
    origin = sorting.fallback_origin[*which];
  }
  if (!origin) return path.text();
  const std::string certificate = fmt::format("certificates[{}]", *origin);
  if (place.ends_with(".certificate_pem")) return certificate + ".chain_pem";
  if (place.ends_with(".private_key_pem")) return certificate + ".key_pem";
  return certificate;
}

void add_line(std::string_view line, const Sorting& sorting, const Path& path, Faults& out) {
  if (line.empty()) return;
  const std::size_t colon = line.find(": ");
  Fault fault = colon == line.npos
                    ? Fault{path.text(), std::string{line}}
                    : Fault{place_in_policy(line.substr(0, colon), sorting, path), std::string{line.substr(colon + 2)}};
  // The same certificate may stand in several places.
  if (std::ranges::find(out, fault) == out.end()) out.push_back(std::move(fault));
}

}  // namespace

std::string context_key(const spec::ListenerTls& tls, const spec::Policy& policy) {
  std::string key;
  const auto add = [&](std::string_view text) { key += fmt::format("{}:{}", text.size(), text); };
  const auto add_all = [&](const std::vector<std::string>& texts) {
    key += fmt::format("[{}]", texts.size());
    for (const std::string& each : texts) add(each);
  };
  key += fmt::format("[{}]", tls.certificates.size());
  for (const std::string& name : tls.certificates) {
    const spec::Certificate* certificate = find(policy, name);
    if (!certificate) continue;
    add(name);
    add(certificate->chain_pem);
    add(certificate->key_pem);
    add_all(certificate->server_names);
  }
  add(tls.default_certificate);
  add_all(tls.alpn);
  add_all(tls.suites);
  add_all(tls.groups);
  key += fmt::format("{} {}", tls.tickets, tls.require_known_server_name);
  return key;
}

std::shared_ptr<const tls::ServerContext> build_context(const spec::ListenerTls& tls, const Path& path,
                                                        const spec::Policy& policy, const Means& means,
                                                        std::int64_t now_unix, Faults& faults, Faults& warnings) {
  auto sorting = sort_by_name(tls, policy, faults, warnings);
  if (!sorting) return nullptr;
  tls::ServerConfig& config = sorting->config;
  config.alpn = tls.alpn;
  if (config.alpn.empty()) config.alpn.emplace_back("http/1.1");
  config.suites = tls.suites;
  config.groups = tls.groups;
  config.tickets = tls.tickets;

  tls::ServerWarnings lines;
  auto context = tls::ServerContext::build(config, means.libraries, means.keyring, now_unix, &lines);
  for (const std::string& line : lines.lines) add_line(line, *sorting, path, warnings);
  if (context) return std::make_shared<const tls::ServerContext>(std::move(*context));
  for (std::string_view rest = context.error(); !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    add_line(rest.substr(0, end), *sorting, path, faults);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return nullptr;
}

}  // namespace sluice::mgmt

// Tested in tests/e2e/tour/steps_traffic.py.
