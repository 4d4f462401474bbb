#include "l7/upstream/pool.h"

namespace sluice {

UpstreamPool::UpstreamPool(const policy::ObjectLimits& limits, ConnectionPool& connections)
    : connections_(connections), endpoints_(limits.endpoints), clusters_(limits.clusters) {
  waiting_.reserve(limits.clusters);
  with_idle_.reserve(limits.clusters);
}

Connection* UpstreamPool::take(policy::EndpointId endpoint) {
  const std::uint32_t index = endpoints_[endpoint].newest;
  if (index == none) return nullptr;
  Connection& connection = connections_[index];
  remove(connection);
  return &connection;
}

void UpstreamPool::give(Connection& connection) {
  DCHECK(!connection.idle && connection.side == Side::upstream);
  EndpointState& endpoint = endpoints_[connection.object];
  const std::uint32_t index = connections_.index_of(&connection);
  connection.idle = true;
  connection.idle_next = endpoint.newest;
  connection.idle_previous = none;
  (endpoint.newest == none ? endpoint.oldest : connections_[endpoint.newest].idle_previous) = index;
  endpoint.newest = index;
  ++endpoint.idle;
  ++idle_count_;
  ClusterState& cluster = clusters_[connection.cluster];
  ++cluster.idle;
  if (!std::exchange(cluster.idle_listed, true)) with_idle_.push_back(connection.cluster);
}

void UpstreamPool::remove(Connection& connection) {
  if (!connection.idle) return;
  EndpointState& endpoint = endpoints_[connection.object];
  (connection.idle_previous == none ? endpoint.newest : connections_[connection.idle_previous].idle_next) =
      connection.idle_next;
  (connection.idle_next == none ? endpoint.oldest : connections_[connection.idle_next].idle_previous) =
      connection.idle_previous;
  connection.idle_next = connection.idle_previous = none;
  connection.idle = false;
  --endpoint.idle;
  --idle_count_;
  --clusters_[connection.cluster].idle;
}

Connection* UpstreamPool::oldest_of(const policy::EndpointGroup& group) {
  if (idle_count_ == 0) return nullptr;
  for (const policy::Endpoint& endpoint : group.endpoints)
    if (const std::uint32_t index = endpoints_[endpoint.id].oldest; index != none) return &connections_[index];
  return nullptr;
}

}  // namespace sluice
