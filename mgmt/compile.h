// compile.h - a validated spec to a const Policy, and what only the rooms can judge: expressions, certificates, rules
// that ask for the same packets. What did not change is taken over from the policy that runs, pointer for pointer:
// route tables and server contexts by their content, endpoint groups, whole sets. So an endpoint delta builds one
// group, and no route table. Allocates and may take seconds (Hyperscan). One thread; the same one that publishes.
#pragma once

#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "crypto/tls/server_context.h"
#include "dataplane/net/routes.h"
#include "l4/listener.h"
#include "l4/service.h"
#include "l7/policy.h"
#include "l7/route/compile.h"
#include "mgmt/registry.h"
#include "mgmt/spec.h"
#include "mgmt/validate.h"

namespace sluice::mgmt {

// What the node gives to every policy. The references outlive all policies.
struct Means {
  const tls::Libraries& libraries;
  const tls::TicketKeyring& keyring;
  route::DatabaseCache& databases;
  NodeFacts node;
  unsigned workers = 1;
  route::CompileLimits route_limits = {};
};

// The id of a named object; for checks, any number will do.
using IdOf = std::function<ObjectRef(policy::ObjectKind kind, std::string_view name)>;

// A policy and what the next one may take over from it.
struct Compiled {
  Policy policy;
  spec::Policy spec;
  std::map<std::string, std::shared_ptr<const route::Table>, std::less<>> tables;  // by the table's name
  std::map<std::string, std::shared_ptr<const tls::ServerContext>> contexts;       // by everything they are made of
};

// The policy before the first: no listener, nothing to find.
Compiled compile_nothing(const Means& means);

// Everything that the rooms find wrong, without building what would be published. Needs no validated spec: what cannot
// be understood is passed over, validate() has named it.
Verdict check_rooms(const spec::Policy& wanted, const Compiled& running, const Means& means, std::int64_t now_unix);

// A valid spec, its ids assigned. Warnings are appended.
std::expected<Compiled, Faults> compile(spec::Policy wanted, const Compiled& running, std::uint64_t generation,
                                        const Means& means, const IdOf& id_of, std::int64_t now_unix, Faults& warnings);

// The running policy with other endpoints; all the rest is shared. `endpoints` is the whole list. The result's spec and
// caches are those of `running` and are not filled in.
std::expected<Policy, Faults> compile_endpoints(const spec::Policy& wanted, const Compiled& running,
                                                std::uint64_t generation, const IdOf& id_of);

}  // namespace sluice::mgmt

// Tested in tests/unit/mgmt/publish_test.cc.
