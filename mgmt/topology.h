// topology.h - which worker runs where and owns which queue of which port: data, checked before a thread or a port
// exists. A pure function of the node file and the machine's CPUs; what `sluiced --check` prints. A port is asked for
// one queue a worker; how many it gives is known only once it is open (bind_queues).
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "mgmt/node_config.h"

namespace sluice::mgmt {

struct WorkerPlace {
  int cpu = -1;
};

struct PortPlace {
  std::string name;
  std::string device;
  std::string exception_of;  // name of the port that this one is the exception port of; empty: a port of the node file
};

struct Topology {
  int management_cpu = -1;
  std::vector<WorkerPlace> workers;
  std::vector<int> helper_cpus;       // where handshake helpers may run: the CPUs of no worker; empty: anywhere
  std::vector<PortPlace> ports;       // by PortId: those of the node file first, exception ports behind them
  std::vector<std::string> warnings;  // what works, but probably not as meant
};

struct TopologyErrors {
  std::vector<std::string> lines;
};

// `cpus`: those this process may run on.
std::expected<Topology, TopologyErrors> plan_topology(const NodeConfig& config, const std::vector<int>& cpus);
std::string to_text(const Topology& topology, const NodeConfig& config);
std::vector<int> allowed_cpus();

// Who polls and owns queue q of a port that was opened with `queues` of them: each worker its own queue where there are
// enough, else one worker all of it (the workers take turns from port to port).
struct QueueOwner {
  bool owns = false;  // this worker polls `queue` and transmits on it
  std::uint16_t queue = 0;
  std::uint16_t owner = 0;  // else: the worker that does
};
QueueOwner queue_of(std::uint16_t worker, std::uint16_t workers, PortId port, std::uint16_t queues);

// How the memory for packet buffers is shared out (design: a pool that runs empty is deaf).
struct BufferPlan {
  unsigned data = 0, slices = 0;  // packet buffers, descriptors
  unsigned fixed = 0;             // of the data buffers: rings, caches and bursts
  unsigned held = 0;              // a worker's queues may hold
};
// The error says how much memory would do.
std::expected<BufferPlan, std::string> plan_buffers(const NodeConfig& config, std::size_t ports);

inline constexpr unsigned pool_cache = 256;  // buffers an lcore keeps to itself

}  // namespace sluice::mgmt
