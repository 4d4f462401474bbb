#include "l7/route/check.h"

#include <unordered_map>
#include <unordered_set>

#include "l7/http/chars.h"
#include "l7/http/uri.h"
#include "l7/route/regex.h"

namespace sluice::route {

namespace {

bool all(std::string_view text, auto&& good) {
  for (char c : text)
    if (!good(c)) return false;
  return true;
}
bool is_name(std::string_view text) { return !text.empty() && all(text, http::is_token); }
bool is_value(std::string_view text) {
  return all(text, [](char c) { return !http::is_control(c); });
}
// A path as the matcher sees paths: no query, no fragment, no space.
bool is_path(std::string_view text) {
  return text.starts_with('/') && all(text, [](char c) { return !http::ends_target(c) && c != '?'; });
}

class Checker {
 public:
  Checker(const CompileLimits& limits) : limits_(limits) {}

  std::vector<Error> run(const spec::Spec& spec) {
    std::size_t routes = 0;
    for (std::size_t i = 0; i < spec.hosts.size(); ++i) {
      routes += spec.hosts[i].routes.size();
      host(spec.hosts[i], "hosts[" + std::to_string(i) + "]");
    }
    if (routes > limits_.routes)
      fault("hosts", std::to_string(routes) + " routes, the limit is " + std::to_string(limits_.routes));
    if (patterns_ > limits_.patterns)
      fault("hosts",
            std::to_string(patterns_) + " regular expressions, the limit is " + std::to_string(limits_.patterns));
    return std::move(errors_);
  }

 private:
  void fault(std::string path, std::string text) { errors_.push_back({std::move(path), std::move(text)}); }

  void host(const spec::VirtualHost& host, const std::string& path) {
    if (host.hosts.empty()) fault(path + ".hosts", "names no host");
    for (std::size_t i = 0; i < host.hosts.size(); ++i) name(host.hosts[i], path + ".hosts[" + std::to_string(i) + "]");
    fields_.clear();
    for (std::size_t i = 0; i < host.routes.size(); ++i)
      route(host.routes[i], path + ".routes[" + std::to_string(i) + "]");
    for (const auto& [field, count] : fields_)
      if (count > limits_.patterns_per_field)
        fault(path, std::to_string(count) + " regular expressions over " + field + ", the limit is " +
                        std::to_string(limits_.patterns_per_field));
  }

  void name(const std::string& text, const std::string& path) {
    std::string lower;
    for (char c : text) lower.push_back(http::lower(c));
    std::string_view plain = lower;
    if (plain.starts_with("*.")) plain.remove_prefix(2);
    const auto authority = http::split_authority(plain);
    if (lower != "*" &&
        (!authority || authority->host != plain || plain.find('*') != std::string_view::npos || plain.ends_with('.')))
      return fault(path, "\"" + text + "\" is not a host name, \"*.\" and a host name, or \"*\"");
    if (plain.size() > 255) return fault(path, "is longer than 255 bytes");
    if (!names_.emplace(lower, path).second) fault(path, "\"" + text + "\" stands at " + names_[lower] + " already");
  }

  void route(const spec::Route& route, const std::string& path) {
    if (!route.method.empty() && !is_name(route.method))
      fault(path + ".method", "\"" + route.method + "\" is not a method");
    if (route.path.kind == spec::PathMatch::Kind::regex) {
      pattern(route.path.value, path + ".path.value", "the path");
    } else if (!is_path(route.path.value)) {
      fault(path + ".path.value", "\"" + route.path.value + "\" is not a path");
    }
    for (std::size_t i = 0; i < route.headers.size(); ++i) {
      const std::string at = path + ".headers[" + std::to_string(i) + "]";
      if (!is_name(route.headers[i].name)) fault(at + ".name", "\"" + route.headers[i].name + "\" is not a field name");
      value(route.headers[i].match, at + ".match.value", "header " + route.headers[i].name);
    }
    for (std::size_t i = 0; i < route.queries.size(); ++i) {
      const std::string at = path + ".queries[" + std::to_string(i) + "]";
      if (route.queries[i].name.empty()) fault(at + ".name", "is empty");
      value(route.queries[i].match, at + ".match.value", "query " + route.queries[i].name);
    }
    action(route, path);
    edits(route.request_fields, path + ".request_fields");
    edits(route.response_fields, path + ".response_fields");
  }

  void value(const spec::ValueMatch& match, const std::string& path, const std::string& field) {
    if (match.kind == spec::ValueMatch::Kind::regex) pattern(match.value, path, field);
  }

  void pattern(const std::string& text, const std::string& path, const std::string& field) {
    ++fields_[field];
    ++patterns_;
    if (good_patterns_.contains(text)) return;
    if (std::string wrong = DatabaseCache::Impl::fault_of(text, limits_); !wrong.empty()) {
      fault(path, "the regular expression \"" + text.substr(0, 100) + "\" " + wrong);
    } else {
      good_patterns_.insert(text);
    }
  }

  void action(const spec::Route& route, const std::string& path) {
    const int actions = !route.clusters.empty() + route.redirect.has_value() + route.direct.has_value();
    if (actions != 1) fault(path, "needs exactly one of clusters, redirect and direct, has " + std::to_string(actions));
    std::uint64_t weights = 0;
    for (const auto& each : route.clusters) weights += each.weight;
    if (!route.clusters.empty() && (weights == 0 || weights > 0xffffffff))
      fault(path + ".clusters", "the sum of the weights is " + std::to_string(weights));
    if (route.direct) {
      if (route.direct->status < 200 || route.direct->status > 599)
        fault(path + ".direct.status", std::to_string(route.direct->status) + " is not a final status");
      if (!is_value(route.direct->content_type)) fault(path + ".direct.content_type", "has control characters");
    }
    if (route.redirect) redirect(*route.redirect, route, path + ".redirect");
    if (!route.rewrite.host.empty() && !http::split_authority(route.rewrite.host))
      fault(path + ".rewrite.host", "\"" + route.rewrite.host + "\" is not a host");
    new_path(route.rewrite.path, route.rewrite.prefix, route, path + ".rewrite");
  }

  void redirect(const spec::Redirect& to, const spec::Route& route, const std::string& path) {
    if (to.status != 301 && to.status != 302 && to.status != 303 && to.status != 307 && to.status != 308)
      fault(path + ".status", std::to_string(to.status) + " is not 301, 302, 303, 307 or 308");
    if (!to.scheme.empty() && to.scheme != "http" && to.scheme != "https")
      fault(path + ".scheme", "\"" + to.scheme + "\" is not http or https");
    if (!to.host.empty() && !http::split_authority(to.host)) fault(path + ".host", "\"" + to.host + "\" is not a host");
    new_path(to.path, to.prefix, route, path);
  }

  void new_path(const std::optional<std::string>& whole, const std::optional<std::string>& prefix,
                const spec::Route& route, const std::string& path) {
    if (whole && prefix) fault(path, "has both path and prefix");
    if (whole && !whole->starts_with('/')) fault(path + ".path", "does not start with a slash");
    if (prefix && !prefix->empty() && !prefix->starts_with('/')) fault(path + ".prefix", "does not start with a slash");
    if (prefix && route.path.kind != spec::PathMatch::Kind::prefix)
      fault(path + ".prefix", "needs a route that matches by prefix");
    for (const auto& text : {whole, prefix})
      if (text && !all(*text, [](char c) { return !http::ends_target(c); }))
        fault(path, "\"" + *text + "\" is not a path");
  }

  void edits(const std::vector<spec::FieldEdit>& edits, const std::string& path) {
    for (std::size_t i = 0; i < edits.size(); ++i) {
      const std::string at = path + "[" + std::to_string(i) + "]";
      if (!is_name(edits[i].name)) fault(at + ".name", "\"" + edits[i].name + "\" is not a field name");
      if (!is_value(edits[i].value)) fault(at + ".value", "has control characters");
    }
  }

  const CompileLimits& limits_;
  std::vector<Error> errors_;
  std::unordered_map<std::string, std::string> names_;
  std::unordered_map<std::string, std::uint32_t> fields_;
  std::unordered_set<std::string> good_patterns_;
  std::uint32_t patterns_ = 0;
};

}  // namespace

std::vector<Error> check(const spec::Spec& spec, const CompileLimits& limits) { return Checker{limits}.run(spec); }

}  // namespace sluice::route
