// node.h - a node whole: its Pipelines as shipped, with one-queue ports in memory. Frames in by port, frames out by
// port, a turn of every worker at a time, the time given. Golden cases and the tests of exchanges run on it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dataplane/port/memory_port.h"
#include "l7/pipeline.h"
#include "l7/route/compile.h"
#include "tests/support/packet_text.h"

namespace sluice::test {

// A listener and the one endpoint that all of its requests go to.
struct NodeListener {
  ListenerRule rule;
  std::optional<Endpoint> to;  // none: 404
  bool use_client_address = false;
  std::uint32_t max_requests = 1024, max_connections = 1024;  // of the endpoint's cluster, at a time
  Nanos connect_timeout{5'000'000'000};
  Nanos request_timeout = Nanos::never();
};

// What a case's policy file says.
struct NodePolicy {
  std::uint16_t workers = 1;
  std::uint32_t held_buffers_max = 0;  // of TCP; 0: its default
  std::vector<MacAddress> ports;
  std::vector<Interface> interfaces;
  std::vector<StaticRoute> routes;
  std::vector<LocalRange> local;
  std::vector<NodeListener> listeners;
  std::vector<ServiceSpec> services;
};

class Node {
 public:
  // What is built once (workers, ports, interfaces, routes, addresses) comes from the first policy.
  static std::expected<std::unique_ptr<Node>, std::string> make(const NodePolicy& policy, Buffers& buffers);
  ~Node();

  // Listeners and services of another policy take effect.
  std::expected<void, std::string> apply(const NodePolicy& policy);
  void inject(PortId port, const Frame& frame) { CHECK(ports_.at(port)->inject(frame)); }
  // One turn of each worker, and another round for what they handed to each other.
  void turn(Nanos now);
  std::vector<std::pair<PortId, Frame>> collect();
  // Of all workers together.
  std::uint64_t count(Counter counter) const;
  Pipeline& pipeline(unsigned worker) { return *seats_.at(worker)->pipeline; }

 private:
  struct Seat {
    Counters counters;
    Stats stats{limits};
    L4Stats l4_stats{limits.services, limits.endpoints};
    std::unique_ptr<Engine> engine;
    std::unique_ptr<Pipeline> pipeline;
  };
  static constexpr policy::ObjectLimits limits{16, 16, 16, 16, 16};

  Node(const NodePolicy& policy, Routes routes, LocalAddresses addresses, Buffers& buffers);
  void open(const NodePolicy& policy, std::uint16_t worker, Buffers& buffers);

  const std::uint16_t workers_;
  Routes routes_;
  LocalAddresses addresses_;
  Qsbr qsbr_{workers_};
  Published<Policy> published_;
  route::DatabaseCache databases_;
  Permit cluster_permits_{limits.clusters, static_cast<std::uint32_t>(ClusterPermit::count_), workers_};
  Permit listener_permits_{limits.listeners, 1, workers_};
  Handoff handoff_{workers_, 64};
  NewsRings news_{workers_};
  std::vector<std::unique_ptr<MemoryPort>> ports_;
  std::vector<std::vector<std::unique_ptr<RemotePort>>> remotes_;  // by port and worker; nullptr for the queue's owner
  std::vector<std::unique_ptr<Seat>> seats_;
  std::uint64_t generation_ = 0;
};

}  // namespace sluice::test
