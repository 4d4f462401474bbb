// diff.h - what would change between the policy that runs and the one that is wanted, as data.
// A pure function: what `dry_run` tells, what an apply reports, and what the registry is told. Objects are the same
// when their names are; their order in the policy is no difference, except of routes within their table.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mgmt/spec.h"

namespace sluice::mgmt {

enum class Object : std::uint8_t { listener, certificate, route_table, cluster, endpoint, service };
enum class ChangeKind : std::uint8_t { added, removed, changed };

struct Action {
  ChangeKind kind;
  Object object;
  std::string name;  // of an endpoint: "cluster/endpoint"
  bool operator==(const Action&) const = default;
};

// Removals first, then changes, then additions; within each by object, then in the order of the policy.
std::vector<Action> plan(const spec::Policy& running, const spec::Policy& wanted);

// The same for endpoints alone.
std::vector<Action> plan_endpoints(const std::vector<spec::Endpoint>& running,
                                   const std::vector<spec::Endpoint>& wanted);

std::string_view to_text(Object object);

}  // namespace sluice::mgmt
