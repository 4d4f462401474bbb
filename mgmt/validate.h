// validate.h - everything that is wrong with a policy, each fault with its path, before anything is built.
// Here stand the rules that need nothing but the policy itself and the node's facts: names, references, ranges, forms.
// What only the rooms can judge (regular expressions, certificates, overlapping rules) is judged by compile.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "l4/local_addresses.h"
#include "l7/policy.h"
#include "mgmt/spec.h"

namespace sluice::mgmt {

// What a policy is measured against, from the node file.
struct NodeFacts {
  policy::ObjectLimits limits;
  std::vector<std::string> ports;  // names of the node's ports, by port number
  std::vector<LocalRange> speaks;  // ports of the node's addresses that it speaks from: no listener can have them
};

struct Verdict {
  Faults faults;    // at most faults_max, then one that counts the rest
  Faults warnings;  // what works, but probably not as meant
  bool ok() const { return faults.empty(); }
};
inline constexpr std::size_t faults_max = 1000;

Verdict validate(const spec::Policy& policy, const NodeFacts& node);

// A delta against the policy that runs: names are checked here, the resulting endpoints by validate_endpoints.
Verdict validate_delta(const spec::EndpointDelta& delta, const spec::Policy& running);

// The endpoints of a policy whose other parts are good: what a delta leads to.
Verdict validate_endpoints(const spec::Policy& policy, const NodeFacts& node);

// Cuts a list that is too long to be read.
void limit_faults(Faults& faults);

// Ports a listener or a service covers; nullopt when the numbers make no range.
std::optional<std::pair<std::uint16_t, std::uint16_t>> port_range(std::uint16_t first, std::uint16_t last,
                                                                  bool zero_is_any);

}  // namespace sluice::mgmt
