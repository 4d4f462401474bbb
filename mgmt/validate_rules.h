// validate_rules.h - what the parts of validate share: the collector of faults and the forms of names and times.
// Used by validate*.cc only.
#pragma once

#include <fmt/format.h>

#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "mgmt/path.h"
#include "mgmt/validate.h"

namespace sluice::mgmt {

// Every object by its name, its position where it stands first.
using NameIndex = std::unordered_map<std::string_view, std::size_t>;

struct Names {
  NameIndex listeners, certificates, route_tables, clusters, services, routes;
  std::unordered_set<std::string_view> routed_clusters;   // some route names it
  std::unordered_set<std::string_view> service_clusters;  // some L4 service names it
};

class Rules {
 public:
  Rules(const spec::Policy& policy, const NodeFacts& node) : policy(policy), node(node) {}

  template <typename... Args>
  void fault(const Path& path, fmt::format_string<Args...> format, Args&&... args) {
    verdict.faults.push_back({path.text(), fmt::format(format, std::forward<Args>(args)...)});
  }
  template <typename... Args>
  void warn(const Path& path, fmt::format_string<Args...> format, Args&&... args) {
    verdict.warnings.push_back({path.text(), fmt::format(format, std::forward<Args>(args)...)});
  }

  // A name: 1 to 128 printable ASCII characters without space, quotes or backslash.
  bool name_is_good(const std::string& name, const Path& path);
  // A good name that no earlier object of this kind has.
  void unique_name(NameIndex& index, const std::string& name, std::size_t position, const Path& list);
  // At most 30 days.
  void timeout(std::uint32_t ms, const Path& path);
  // A time that must not be switched off.
  void needed_timeout(std::uint32_t ms, const Path& path);

  void collect_names();
  void listeners();
  void certificates();
  void route_tables();
  void clusters();
  void endpoints();
  void services();

  const spec::Policy& policy;
  const NodeFacts& node;
  Names names;
  Verdict verdict;

 private:
  void tls(const spec::Listener& listener, const Path& path);
  void limits(const spec::Listener& listener, const Path& path);
  void route(const spec::Route& route, std::size_t position, const Path& path);
  void weighted_clusters(const spec::Route& route, const Path& path);
};

}  // namespace sluice::mgmt

// Tested in tests/unit/mgmt/validate_test.cc.
