// pool.h - the upstream connections of one worker: idle ones by endpoint, and requests that wait for a connection slot
// of their cluster. Limits count over the node (dataplane/base/permit); what is here is one worker's share of the
// bookkeeping. An idle connection is taken last in, first out, so that the others may grow old and go. State is indexed
// by stable id; an id with a new generation starts afresh.
#pragma once

#include <utility>
#include <vector>

#include "l7/connection.h"
#include "l7/policy.h"

namespace sluice {

class UpstreamPool {
 public:
  UpstreamPool(const policy::ObjectLimits& limits, ConnectionPool& connections);

  // The newest idle connection to an endpoint, no longer idle; or nullptr.
  Connection* take(policy::EndpointId endpoint);
  void give(Connection& connection);
  // Takes a connection that ends out of its endpoint's idle list.
  void remove(Connection& connection);
  // An idle connection to any of these endpoints, to be closed so that its slot can serve another; or nullptr.
  Connection* oldest_of(const policy::EndpointGroup& group);

  // Requests that wait, first in, first out, by cluster. Exchanges are linked by `pending_next`, the caller's.
  struct Queue {
    ExchangeId first, last;
    std::uint32_t size = 0;
    bool listed = false;
  };
  // Connections of a cluster that we have closed and whose endpoint has not: they hold their slots until it has.
  std::uint32_t& parting(policy::ClusterId cluster) { return clusters_[cluster].parting; }
  Queue& queue(policy::ClusterId cluster) { return clusters_[cluster].queue; }
  std::uint64_t& turn(policy::ClusterId cluster) { return clusters_[cluster].turn; }
  // Clusters that may have a waiting request; the caller drops those whose queue is empty.
  std::vector<policy::ClusterId>& waiting() { return waiting_; }
  void list(policy::ClusterId cluster) {
    if (std::exchange(clusters_[cluster].queue.listed, true)) return;
    waiting_.push_back(cluster);
  }

  // Calls f(cluster) for some clusters that have idle connections, others each time.
  template <typename F>
  void some_idle_clusters(unsigned most, F&& f) {
    for (unsigned i = 0; i < most && !with_idle_.empty(); ++i) {
      next_idle_ = next_idle_ + 1 < with_idle_.size() ? next_idle_ + 1 : 0;
      const policy::ClusterId id = with_idle_[next_idle_];
      if (clusters_[id].idle) {
        f(id);
        continue;
      }
      clusters_[id].idle_listed = false;
      with_idle_[next_idle_] = with_idle_.back();
      with_idle_.pop_back();
    }
  }

  std::uint32_t idle_count() const { return idle_count_; }
  std::uint32_t idle_count(policy::EndpointId endpoint) const { return endpoints_[endpoint].idle; }
  // Calls f(connection) for the idle connections of every endpoint that `keep` refuses.
  template <typename Keep, typename F>
  void sweep(Keep&& keep, F&& f) {
    for (policy::EndpointId id = 0; id < endpoints_.size() && idle_count_ > 0; ++id) {
      if (endpoints_[id].idle == 0 || keep(id)) continue;
      while (Connection* c = take(id)) f(*c);
    }
  }

 private:
  static constexpr std::uint32_t none = Handle<Connection>::none;
  struct EndpointState {
    std::uint32_t newest = none, oldest = none, idle = 0;
  };
  struct ClusterState {
    std::uint64_t turn = 0;
    Queue queue;
    std::uint32_t parting = 0, idle = 0;
    bool idle_listed = false;
  };

  ConnectionPool& connections_;
  std::vector<EndpointState> endpoints_;
  std::vector<ClusterState> clusters_;
  std::vector<policy::ClusterId> waiting_, with_idle_;
  std::size_t next_idle_ = 0;
  std::uint32_t idle_count_ = 0;
};

}  // namespace sluice
