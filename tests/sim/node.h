// node.h - the appliance in the simulator: the real pipelines, publisher, permits, rings and TLS, over simulated
// cables, all turned by one thread in virtual time. What mgmt/plane and mgmt/appliance build from a node file is built
// here from a seed.
#pragma once

#include <memory>
#include <vector>

#include "dataplane/port/impair.h"
#include "dataplane/port/memory_port.h"
#include "l7/pipeline.h"
#include "mgmt/publish.h"
#include "tests/sim/audit_times.h"
#include "tests/sim/cable.h"
#include "tests/sim/frame_watch.h"
#include "tests/sim/node_watch.h"
#include "tests/sim/trouble.h"

namespace sluice::sim {

struct NodeSpec {
  std::uint16_t workers = 1;
  bool scarce = false;    // pools so small that some must run full
  bool offloads = false;  // ports that take multi-segment and shared buffers
  ImpairSpec impair[2];   // by port
  CableSpec cable[2];
  tcp::Ecn ecn = tcp::Ecn::accept;
  bool rekeys = false;     // TLS keys that wear out after a few records
  bool swaps = true;       // policies that change in mid-turn
  bool cookies = false;    // for every SYN
  bool few_ports = false;  // to speak to backends from
  std::uint64_t seed = 1;
};

// What outlives a seed because it is dear to make, and holds nothing of one.
struct Shared {
  explicit Shared(Buffers& node_buffers, Buffers& peer_buffers)
      : buffers(node_buffers), peers(peer_buffers), data(buffers.data_free()), slices(buffers.slices_free()) {}
  Buffers& buffers;  // the node's
  Buffers& peers;
  const unsigned data, slices;  // the node's, when none is in use
  tls::Libraries libraries{2};
  route::DatabaseCache databases;
  Counters engine_counters;
  std::unique_ptr<Engine> engines[2];
};

class Node final : public mgmt::RunTime {
 public:
  static constexpr PortId ports = 2;

  Node(const NodeSpec& spec, Shared& shared, Nanos start);
  ~Node() override;

  // Joins a peer's port end.
  void connect(PortId port, MemoryPort& peer) { MemoryPort::connect(*ends_[port], peer); }
  // Every worker's turn. Whether one of them was busy.
  bool turn(Nanos now);

  // Management, between turns or in the middle of one.
  void swap_policy();
  void swap_endpoint();
  void try_bad_policy();
  void housekeep() { publisher_->housekeep(); }
  std::uint32_t snapshots() const { return publisher_->status().snapshots_alive; }

  // A connection of a client at random: its TCP state and its TLS state go out as images and come in again.
  void move_something(Nanos now);

  std::uint64_t counter(Counter counter) const;
  // What is still held somewhere, by name; empty when the node is as empty as at its start.
  std::string leftovers() const;
  // What must hold after every turn; empty when it does.
  std::string broken() const;
  // The same, of what takes longer to see: every connection is one worker's.
  std::string shared_connections(Nanos now);
  std::vector<tcp::Info> connections(Nanos now) const;
  // The first TCP segments of all, once more.
  void repeat_past() {
    for (Cable* cable : cables_) cable->repeat_past();
  }
  ImpairStats impaired() const;
  // A count of both cables.
  std::uint64_t cables(std::uint64_t Cable::* count) const { return cables_[0]->*count + cables_[1]->*count; }
  std::uint64_t refused_by_pools() const;
  std::uint64_t swaps = 0, tcp_images = 0, tls_images = 0;

 private:
  struct Seat {
    Counters counters;
    std::unique_ptr<Stats> stats;
    std::unique_ptr<L4Stats> l4_stats;
    std::unique_ptr<Pipeline> pipeline;
    NodeWatch watch;
  };
  void open_ports();
  void build_pipelines(Nanos start);
  PipelineConfig config_of(std::uint16_t worker) const;
  PortRange upstream_ports() const;
  void watch(Seat& seat, bool busy, Nanos now);
  void apply(const mgmt::spec::Policy& policy);
  // RunTime.
  void assigned(std::span<const mgmt::ObjectRef>) override {}
  void publishing(const Policy& next) override;
  bool is_idle(const mgmt::ObjectRef& id) override;

  const NodeSpec spec_;
  Shared& shared_;
  Rng rng_;
  const Nanos started_;
  policy::ObjectLimits objects_{.listeners = 8, .routes = 64, .clusters = 16, .endpoints = 32, .services = 8};
  const PipelineConfig config_;  // of the first worker
  Qsbr qsbr_;
  tls::TicketKeyring keyring_;
  Permit cluster_permits_, listener_permits_;
  Handoff handoff_;
  NewsRings news_;
  MemoryPort* ends_[ports];
  Cable* cables_[ports];
  std::unique_ptr<Impaired> ports_[ports];
  std::unique_ptr<FrameWatch> watches_[ports];  // the way to them
  std::vector<std::unique_ptr<RemotePort>> remotes_[ports];
  Routes routes_;
  LocalAddresses addresses_;
  std::unique_ptr<mgmt::Publisher> publisher_;
  std::vector<std::unique_ptr<Seat>> seats_;
  bool odd_ = false, extra_ = false;
  AuditTimes audit_;
  std::uint64_t opened_ = 0;  // connections, when shared_connections() looked last
  std::string seen_;          // what a NodeWatch found
};

}  // namespace sluice::sim
