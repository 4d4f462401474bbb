// plane.h - the running data plane: EAL, packet buffers, ports, addresses, and one thread with its Pipeline for each
// worker. Built in order from the node file, on the management thread; taken down in reverse. Management reads what
// workers publish (counters, statistics, flow tables) directly and asks for the rest by ask(): a small job that the
// worker runs between two turns.
#pragma once

#include <atomic>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "crypto/engine.h"
#include "crypto/tls/server_context.h"
#include "dataplane/core/worker.h"
#include "dataplane/port/device.h"
#include "l7/pipeline.h"
#include "mgmt/handshake_threads.h"
#include "mgmt/topology.h"

namespace sluice::mgmt {

// How the process ends when it cannot start (docs/commands.md).
enum class ExitCode : int {
  ok = 0,
  failed = 1,   // anything without a code of its own
  usage = 2,    // command line or node file
  memory = 4,   // hugepages or memory
  port = 5,     // a port cannot be opened
  running = 6,  // another instance has the name, the socket or the metrics address
  state = 7,    // state directory: full, unwritable, damaged key
};
struct StartError {
  ExitCode code;
  std::string text;
};

// One worker, seen from management.
struct WorkerSeat {
  Counters counters;
  std::unique_ptr<Stats> stats;
  std::unique_ptr<L4Stats> l4_stats;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<SpscRing<AccessRecord>> access;
  std::unique_ptr<Pipeline> pipeline;
  std::unique_ptr<WorkerThread> thread;
  int cpu = -1;

  struct Job {
    std::function<void(Pipeline&, Nanos)> run;
    std::atomic<bool> done{false};
  };
  std::atomic<Job*> job{nullptr};  // set by management, taken by the worker
};

// A port of the plane, by PortId.
struct PortSeat {
  std::string name;
  std::string exception_of;
  Device* device = nullptr;  // inside `port`, perhaps behind an Impaired
  std::unique_ptr<Port> port;
  std::vector<std::unique_ptr<RemotePort>> remotes;  // by worker; nullptr where it has a queue of its own
};

class Plane {
 public:
  static std::expected<std::unique_ptr<Plane>, StartError> open(const NodeConfig& config, const Topology& topology);
  ~Plane();
  Plane(const Plane&) = delete;
  Plane& operator=(const Plane&) = delete;

  // Pipelines and threads. `policy` holds one already (mgmt/publish), and outlives the workers.
  std::expected<void, StartError> start_workers(const Published<Policy>& policy);
  void stop_workers();
  // After stop_workers(): what they held (connections, sessions) goes.
  void drop_pipelines();

  // Runs a job on a worker between two turns, and waits for it; false when the worker did not come to it within the
  // time.
  bool ask(unsigned worker, std::function<void(Pipeline&, Nanos)> job, Nanos patience = Nanos{50'000'000});

  const NodeConfig& config() const { return config_; }
  const Clock& clock() const { return *clock_; }
  Clock& clock() { return *clock_; }
  const Eal& eal() const { return *eal_; }
  const Buffers& buffers() const { return *buffers_; }
  const Routes& routes() const { return routes_; }
  const LocalAddresses& addresses() const { return addresses_; }
  const tls::Libraries& libraries() const { return *libraries_; }
  std::span<const std::unique_ptr<WorkerSeat>> workers() const { return workers_; }
  std::span<const PortSeat> ports() const { return ports_; }
  Qsbr& qsbr() { return *qsbr_; }
  Permit& cluster_permits() { return *cluster_permits_; }
  Permit& listener_permits() { return *listener_permits_; }
  Trace& trace() { return *trace_; }
  // By name: a port of the node file, or no_port.
  PortId port_id(std::string_view name) const;

 private:
  explicit Plane(const NodeConfig& config) : config_(config) {}
  std::expected<void, StartError> open_ports(const Topology& topology);
  std::expected<void, StartError> open_port(const PortPlace& place, const PortConfig& config, const MacAddress* mac);
  std::expected<void, StartError> compile_addresses();

  const NodeConfig config_;
  BufferPlan plan_;
  std::unique_ptr<Eal> eal_;
  std::unique_ptr<Clock> clock_;
  std::unique_ptr<tls::Libraries> libraries_;  // outlive every policy
  std::unique_ptr<HandshakeThreads> helpers_;
  std::unique_ptr<Qsbr> qsbr_;
  std::unique_ptr<Buffers> buffers_;
  std::vector<PortSeat> ports_;
  Routes routes_;
  LocalAddresses addresses_;
  std::vector<IpAddress> upstream_sources_;
  std::unique_ptr<Permit> cluster_permits_, listener_permits_;
  std::unique_ptr<Handoff> handoff_;
  std::unique_ptr<NewsRings> news_;
  std::unique_ptr<Trace> trace_;
  std::atomic<bool> stop_{false};
  std::vector<std::unique_ptr<WorkerSeat>> workers_;
};

}  // namespace sluice::mgmt
