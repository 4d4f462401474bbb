#include "mgmt/topology.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <set>

#include "dataplane/packet/tx_queue.h"

namespace sluice::mgmt {

namespace {

// What one buffer takes of the memory: mbuf, Meta, headroom, data, and the pool's own header.
constexpr std::uint64_t data_bytes = 128 + sizeof(Meta) + buffer_headroom + buffer_data_size + 128;
constexpr std::uint64_t slice_bytes = 128 + sizeof(Meta) + 128;
constexpr unsigned bursts_under_way = 1024;  // of one worker in a turn: receive bursts, handoff, what it makes itself

}  // namespace

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  return cpus;
}

std::expected<Topology, TopologyErrors> plan_topology(const NodeConfig& config, const std::vector<int>& cpus) {
  Topology topology;
  TopologyErrors errors;
  const auto exists = [&cpus](std::int64_t cpu) { return std::ranges::find(cpus, cpu) != cpus.end(); };
  topology.management_cpu = static_cast<int>(config.management_cpu);
  if (config.management_cpu >= 0 && !exists(config.management_cpu))
    errors.lines.push_back(
        fmt::format("node.management_cpu: this process may not run on CPU {}", config.management_cpu));

  if (!config.worker_cpus.empty() && config.worker_cpus.size() != config.workers)
    errors.lines.push_back(
        fmt::format("node.worker_cpus: {} CPUs for {} workers", config.worker_cpus.size(), config.workers));
  for (std::size_t i = 0; i < config.worker_cpus.size(); ++i)
    if (!exists(config.worker_cpus[i]))
      errors.lines.push_back(
          fmt::format("node.worker_cpus[{}]: this process may not run on CPU {}", i, config.worker_cpus[i]));
  for (std::uint16_t worker = 0; worker < config.workers; ++worker) {
    int cpu = -1;
    if (worker < config.worker_cpus.size()) cpu = static_cast<int>(config.worker_cpus[worker]);
    else if (!cpus.empty())
      cpu = cpus[cpus.size() - 1 - worker % cpus.size()];  // from the last: the first is management's
    topology.workers.push_back({cpu});
  }
  std::set<int> used;
  for (const WorkerPlace& worker : topology.workers)
    if (worker.cpu >= 0 && !used.insert(worker.cpu).second)
      topology.warnings.push_back(fmt::format("CPU {} is shared by several workers", worker.cpu));
  for (const int cpu : cpus)
    if (!used.contains(cpu)) topology.helper_cpus.push_back(cpu);
  if (config.handshake_cores > topology.helper_cpus.size())
    topology.warnings.push_back(fmt::format("node.handshake_cores: {} threads, and {} CPUs without a worker",
                                            config.handshake_cores, topology.helper_cpus.size()));
  if (used.size() >= cpus.size() || used.contains(topology.management_cpu))
    topology.warnings.push_back("the management thread has no CPU of its own");

  std::set<std::string> names, devices;
  const auto add = [&](std::string name, const std::string& device, std::string exception_of) {
    if (!names.insert(name).second) errors.lines.push_back(fmt::format("port \"{}\": the name is taken", name));
    if (!devices.insert(device.substr(0, device.find(','))).second)
      errors.lines.push_back(
          fmt::format("port \"{}\": device {} is used twice", name, device.substr(0, device.find(','))));
    topology.ports.push_back({std::move(name), device, std::move(exception_of)});
  };
  for (const PortConfig& port : config.ports) add(port.name, port.device, "");
  for (const PortConfig& port : config.ports) {
    std::set<std::uint16_t> vlans;
    if (!port.exception.empty()) add(port.name + ".exception", port.exception, port.name);
    for (const VlanConfig& vlan : port.vlans) {
      if (!vlans.insert(vlan.id).second)
        errors.lines.push_back(fmt::format("port \"{}\": VLAN {} is there twice", port.name, vlan.id));
      if (!vlan.exception.empty()) add(fmt::format("{}.{}.exception", port.name, vlan.id), vlan.exception, port.name);
    }
  }
  std::size_t addresses = 0;
  for (const PortConfig& port : config.ports) {
    addresses += port.addresses.size();
    for (const VlanConfig& vlan : port.vlans) addresses += vlan.addresses.size();
  }
  if (addresses == 0) errors.lines.push_back("no port has an address");
  if (const auto plan = plan_buffers(config, topology.ports.size()); !plan) errors.lines.push_back(plan.error());
  if (!errors.lines.empty()) return std::unexpected{std::move(errors)};
  return topology;
}

std::string to_text(const Topology& topology, const NodeConfig& config) {
  std::string text =
      fmt::format("node {}\n  management   {}\n", config.name,
                  topology.management_cpu < 0 ? "any CPU" : fmt::format("CPU {}", topology.management_cpu));
  for (std::size_t i = 0; i < topology.workers.size(); ++i)
    text += fmt::format("  worker {:<5} CPU {}\n", i, topology.workers[i].cpu);
  if (config.handshake_cores)
    text += fmt::format("  handshakes   {} thread(s), CPU {}\n", config.handshake_cores,
                        topology.helper_cpus.empty() ? "any" : fmt::format("{}", fmt::join(topology.helper_cpus, " ")));
  for (std::size_t i = 0; i < topology.ports.size(); ++i) {
    const PortPlace& port = topology.ports[i];
    text += fmt::format("  port {:<7} {:<16} {}{}\n", i, port.name, port.device,
                        port.exception_of.empty() ? "" : " (exception port of " + port.exception_of + ")");
  }
  const BufferPlan buffers = *plan_buffers(config, topology.ports.size());
  text += fmt::format(
      "  buffers      {} of 2 kB ({} for rings, caches and bursts; {} for the queues of a worker), {} slices\n",
      buffers.data, buffers.fixed, buffers.held, buffers.slices);
  for (const std::string& warning : topology.warnings) text += "warning: " + warning + "\n";
  return text;
}

QueueOwner queue_of(std::uint16_t worker, std::uint16_t workers, PortId port, std::uint16_t queues) {
  if (queues >= workers) return {true, worker, worker};
  const auto owner = static_cast<std::uint16_t>(port % workers);
  return {owner == worker, 0, owner};
}

std::expected<BufferPlan, std::string> plan_buffers(const NodeConfig& config, std::size_t ports) {
  BufferPlan plan;
  unsigned rings = 0;
  for (const PortConfig& port : config.ports) {
    const unsigned exceptions = !port.exception.empty() + static_cast<unsigned>(port.vlans.size());
    rings += (port.rx_ring + port.tx_ring) * (config.workers + exceptions);
  }
  plan.fixed = rings + static_cast<unsigned>(ports) * config.workers * tx_pending_max +
               config.workers * (pool_cache * 2 + bursts_under_way);
  const std::uint64_t wanted_held =
      config.held_buffers ? std::uint64_t{config.held_buffers} * config.workers : 1024u * config.workers;
  // A tenth of the memory is DPDK's own: rings, tables, alignment.
  const std::uint64_t memory = std::uint64_t{config.memory_mib} * 1'048'576 * 9 / 10;
  const std::uint64_t fit = memory / (data_bytes + 2 * slice_bytes);
  if (plan.fixed + wanted_held > fit) {
    const std::uint64_t needed = (plan.fixed + wanted_held) * (data_bytes + 2 * slice_bytes) * 10 / 9 / 1'048'576 + 1;
    return std::unexpected{
        fmt::format("node.memory_mib: {} MiB hold {} packet buffers, {} are needed: give at least {} MiB",
                    config.memory_mib, fit, plan.fixed + wanted_held, needed)};
  }
  plan.data = static_cast<unsigned>(fit);
  plan.slices = plan.data * 2;
  plan.held = config.held_buffers ? config.held_buffers : (plan.data - plan.fixed) / config.workers;
  return plan;
}

}  // namespace sluice::mgmt
