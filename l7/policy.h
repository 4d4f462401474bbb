// policy.h - all that is configured, immutable. The third meeting point: mgmt compiles it, the pipeline reads it.
// A Policy is three immutables that change at different rates and are shared between generations where nothing changed:
// RouteSet (listeners, certificates, route tables, L4 services), ClusterSet, EndpointSet. It is published by one
// pointer (dataplane/base/snapshot.h); a worker acquires it once a turn, so a request is evaluated wholly under one
// generation. Nothing here refers to a FlatBuffer, a file or a socket. Building allocates (management); reading does
// not.
//
// Stable ids: every named object has a dense 32-bit id from mgmt/registry, kept across policies while the name lives.
// Run-time state (counters, pools, permits, flows) is an array indexed by it. An id is given to another name only when
// no snapshot and no run-time state refers to the old one, and then with another generation, so that whoever finds
// state of an older generation under an id starts afresh. Whoever outlives a turn keeps ids and copies of values, never
// a pointer into a Policy. Thread: any, const. Ownership: shared_ptr between policies, touched by management only;
// workers follow raw pointers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/base/address.h"
#include "dataplane/base/check.h"
#include "dataplane/base/units.h"
#include "l7/http/limits.h"

namespace sluice {
class AddressSet;
class Listeners;
class Services;
namespace tls {
class ServerContext;
}
namespace route {
class Scratch;
class Table;
}  // namespace route
}  // namespace sluice

namespace sluice::policy {

using ListenerId = std::uint32_t;
using RouteId = std::uint32_t;
using ClusterId = std::uint32_t;
using EndpointId = std::uint32_t;
using ServiceId = std::uint32_t;
inline constexpr std::uint32_t no_id = ~std::uint32_t{0};

enum class ObjectKind : std::uint8_t { listener, route, cluster, endpoint, service };
inline constexpr std::size_t object_kinds = 5;

// How many named objects of each kind the node has room for; run-time state is sized by it at start. From the node
// file. Routes: those that have a name, and so statistics of their own; a policy may hold any number without.
struct ObjectLimits {
  std::uint32_t listeners = 256;
  std::uint32_t routes = 4096;
  std::uint32_t clusters = 4096;
  std::uint32_t endpoints = 16384;
  std::uint32_t services = 1024;

  constexpr std::uint32_t of(ObjectKind kind) const {
    const std::uint32_t all[object_kinds] = {listeners, routes, clusters, endpoints, services};
    return all[static_cast<std::size_t>(kind)];
  }
};

// Immutable objects found by stable id in O(1); iteration in policy order.
template <typename T>
class ById {
 public:
  ById() = default;
  explicit ById(std::vector<T> items) : items_(std::move(items)) {
    for (std::uint32_t i = 0; i < items_.size(); ++i) {
      const std::uint32_t id = items_[i].id;
      if (id >= slots_.size()) slots_.resize(id + 1, absent);
      CHECK(slots_[id] == absent);
      slots_[id] = i;
    }
  }
  // nullptr when this policy has no such object.
  const T* find(std::uint32_t id) const {
    return id < slots_.size() && slots_[id] != absent ? &items_[slots_[id]] : nullptr;
  }
  const T* begin() const { return items_.data(); }
  const T* end() const { return items_.data() + items_.size(); }
  std::size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty(); }

 private:
  static constexpr std::uint32_t absent = ~std::uint32_t{0};
  std::vector<T> items_;
  std::vector<std::uint32_t> slots_;
};

// Nanos::never() where the operator switched one off.
struct ListenerTimeouts {
  Nanos request_header;
  Nanos idle;
  Nanos stream_idle;  // where the route's own (route::Route::timeouts.idle) is 0
};

struct Listener {
  ListenerId id = no_id;
  std::uint32_t generation = 0;
  std::string name;
  std::shared_ptr<const tls::ServerContext> tls;  // nullptr: plain HTTP
  std::shared_ptr<const route::Table> routes;     // never nullptr
  http::Limits limits;
  std::uint32_t max_connections = 0;          // over the node; 0: only the node's own limit
  std::uint32_t requests_per_connection = 0;  // 0: any number
  ListenerTimeouts timeouts;
  bool use_client_address = false;  // the upstream leg speaks from the client's address
};

// What L4 services are made of; as packets see them they stand in EndpointSet::services.
struct Service {
  ServiceId id = no_id;
  std::uint32_t generation = 0;
  std::string name;
  ClusterId cluster = no_id;
  Prefix address;
  std::uint8_t protocol = 0;  // 6 or 17
  std::uint16_t first_port = 0, last_port = 0;
};

// The objects that change together with the routing, and the matcher of new connections.
struct RouteSet {
  ById<Listener> listeners;
  ById<Service> services;
  std::shared_ptr<const Listeners> listener_match;  // l4/listener.h; never nullptr
  // What the node answers ARP and ND for: the addresses of services, and of listeners that name one address.
  std::shared_ptr<const AddressSet> addresses;  // dataplane/net/routes.h; never nullptr
  // By worker: what a look-up in any of these tables writes to. Worker w touches only [w].
  std::vector<std::shared_ptr<route::Scratch>> scratch;
};

enum class Balance : std::uint8_t { round_robin, random, least_request };

struct Cluster {
  static constexpr std::uint32_t unlimited = ~std::uint32_t{0};

  ClusterId id = no_id;
  std::uint32_t generation = 0;
  std::string name;
  Balance balance = Balance::round_robin;
  // Nanos::never() where the operator switched one off.
  Nanos connect_timeout;
  Nanos request_timeout;  // where the route's own (route::Route::timeouts.request) is 0
  Nanos idle_timeout;
  // Over the node (dataplane/base/permit).
  std::uint32_t max_connections = 1024;
  std::uint32_t max_pending = 1024;
  std::uint32_t max_requests = 1024;
  std::uint32_t requests_per_connection = 0;  // 0: any number
};

struct ClusterSet {
  ById<Cluster> clusters;
};

struct Endpoint {
  EndpointId id = no_id;
  std::uint32_t generation = 0;
  sluice::Endpoint address;  // port 0: the client's destination port (L4 services only)
  std::uint32_t weight = 1;  // 0: draining
  std::string name;          // unique within its cluster
  bool operator==(const Endpoint&) const = default;
};

// The endpoints of one cluster, in policy order. Shared between generations when none of them changed, so an unchanged
// pointer means unchanged endpoints.
struct EndpointGroup {
  ClusterId id = no_id;
  std::vector<Endpoint> endpoints;
  std::uint64_t total_weight = 0;
};

struct EndpointSet {
  // One group a cluster of the policy, also an empty one.
  const EndpointGroup* of(ClusterId cluster) const { return cluster < groups.size() ? groups[cluster].get() : nullptr; }

  std::vector<std::shared_ptr<const EndpointGroup>> groups;  // by cluster id; holes are nullptr
  std::shared_ptr<const Services> services;                  // l4/service.h; never nullptr
};

}  // namespace sluice::policy

namespace sluice {

// One generation. The three parts are consistent: an id that one of them names is in the others.
struct Policy {
  std::uint64_t generation =
      0;  // 0: nothing was applied yet; counts up by one with every apply and every endpoint delta
  std::shared_ptr<const policy::RouteSet> routes;
  std::shared_ptr<const policy::ClusterSet> clusters;
  std::shared_ptr<const policy::EndpointSet> endpoints;
};

}  // namespace sluice
