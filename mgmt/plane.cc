#include "mgmt/plane.h"

#include <fmt/format.h>
#include <rte_errno.h>
#include <sys/random.h>

#include <algorithm>
#include <thread>

#include "dataplane/base/large_pages.h"
#include "mgmt/worker_config.h"

namespace sluice::mgmt {

namespace {

constexpr std::size_t handoff_ring = 1024, remote_ring = 1024, access_ring = 4096, trace_ring = 4096;

template <typename T>
T random_bytes() {
  T value;
  CHECK(getrandom(&value, sizeof value, 0) == static_cast<ssize_t>(sizeof value));
  return value;
}

// A TAP of the kernel's side carries the port's MAC, so that frames cross unchanged.
std::string exception_device(const std::string& device, const MacAddress& mac) {
  if (!device.starts_with("net_tap") || device.find("mac=") != device.npos) return device;
  return fmt::format("{},mac={}", device, to_text(mac).view());
}

}  // namespace

std::expected<std::unique_ptr<Plane>, StartError> Plane::open(const NodeConfig& config, const Topology& topology) {
  std::unique_ptr<Plane> plane{new Plane{config}};
  const auto plan = plan_buffers(config, topology.ports.size());
  if (!plan) return std::unexpected{StartError{ExitCode::usage, plan.error()}};
  plane->plan_ = *plan;

  EalOptions eal{.prefix = config.prefix,
                 .memory_mib = config.memory_mib,
                 .hugepages = config.hugepages,
                 .management_cpu = topology.management_cpu};
  for (const PortConfig& port : config.ports)
    if (!port.device.starts_with("net_")) eal.pci.push_back(port.device);
  auto started = Eal::start(eal);
  if (!started) {
    const bool running = started.error().starts_with("another instance");
    return std::unexpected{StartError{running ? ExitCode::running : ExitCode::memory, started.error()}};
  }
  plane->eal_ = std::move(*started);
  plane->clock_ = std::make_unique<Clock>();
  plane->clock_->sync_wall();
  plane->qsbr_ = std::make_unique<Qsbr>(config.workers);
  plane->libraries_ = std::make_unique<tls::Libraries>(config.workers + config.handshake_cores);
  plane->helpers_ = std::make_unique<HandshakeThreads>(
      config.workers, config.handshake_cores, tls::SessionsConfig{}.patience, topology.helper_cpus, *plane->clock_);
  plane->buffers_ = std::make_unique<Buffers>("sluice", plan->data, plan->slices, pool_cache, -1);
  if (!plane->buffers_->ok())
    return std::unexpected{StartError{ExitCode::memory, fmt::format("packet buffers do not fit into {} MiB: {}",
                                                                    config.memory_mib, rte_strerror(rte_errno))}};
  plane->cluster_permits_ = std::make_unique<Permit>(config.objects.clusters,
                                                     static_cast<std::uint32_t>(ClusterPermit::count_), config.workers);
  plane->listener_permits_ = std::make_unique<Permit>(config.objects.listeners, 1, config.workers);
  plane->handoff_ = std::make_unique<Handoff>(config.workers, handoff_ring);
  plane->news_ = std::make_unique<NewsRings>(config.workers);
  plane->trace_ = std::make_unique<Trace>(config.workers, trace_ring);
  if (auto done = plane->open_ports(topology); !done) return std::unexpected{done.error()};
  if (auto done = plane->compile_addresses(); !done) return std::unexpected{done.error()};

  for (std::uint16_t worker = 0; worker < config.workers; ++worker) {
    auto seat = std::make_unique<WorkerSeat>();
    seat->cpu = topology.workers[worker].cpu;
    seat->stats = std::make_unique<Stats>(config.objects);
    seat->l4_stats = std::make_unique<L4Stats>(config.objects.services, config.objects.endpoints);
    auto engine = Engine::open(seat->counters);
    if (!engine) return std::unexpected{StartError{ExitCode::failed, engine.error()}};
    seat->engine = std::move(*engine);
    if (config.access_format != AccessFormat::none)
      seat->access = std::make_unique<SpscRing<AccessRecord>>(access_ring);
    plane->workers_.push_back(std::move(seat));
  }
  return plane;
}

Plane::~Plane() {
  stop_workers();
  drop_pipelines();
}

void Plane::drop_pipelines() {
  for (auto& seat : workers_) seat->pipeline.reset();
}

std::expected<void, StartError> Plane::open_port(const PortPlace& place, const PortConfig& config,
                                                 const MacAddress* mac) {
  const bool exception = !place.exception_of.empty();
  DeviceSpec spec{.name = place.name,
                  .device = mac ? exception_device(place.device, *mac) : place.device,
                  .queues = exception ? std::uint16_t{1} : config_.workers,
                  .rx_ring = config.rx_ring,
                  .tx_ring = config.tx_ring,
                  .mtu = config.mtu,
                  .promiscuous = config.promiscuous};
  auto device = open_device(spec, *buffers_);
  if (!device) return std::unexpected{StartError{ExitCode::port, device.error()}};
  PortSeat seat{.name = place.name, .exception_of = place.exception_of, .device = device->get()};
  seat.port = std::move(*device);
  if (!exception && (config.receive.any() || config.transmit.any()))
    seat.port = std::make_unique<Impaired>(std::move(seat.port),
                                           ImpairSpec{config.receive, config.transmit, config.impair_seed});
  const auto id = static_cast<PortId>(ports_.size());
  for (std::uint16_t worker = 0; worker < config_.workers; ++worker) {
    const bool owns = queue_of(worker, config_.workers, id, seat.port->caps().queues).owns;
    seat.remotes.push_back(owns ? nullptr : std::make_unique<RemotePort>(*seat.port, remote_ring));
  }
  ports_.push_back(std::move(seat));
  return {};
}

std::expected<void, StartError> Plane::open_ports(const Topology& topology) {
  for (const PortPlace& place : topology.ports) {
    const std::string& owner = place.exception_of.empty() ? place.name : place.exception_of;
    const auto config = std::ranges::find(config_.ports, owner, &PortConfig::name);
    const MacAddress* mac = nullptr;
    if (!place.exception_of.empty())
      mac = &ports_[static_cast<std::size_t>(config - config_.ports.begin())].port->caps().mac;
    if (auto done = open_port(place, *config, mac); !done) return done;
  }
  return {};
}

PortId Plane::port_id(std::string_view name) const {
  const auto port = std::ranges::find(ports_, name, &PortSeat::name);
  return port == ports_.end() ? no_port : static_cast<PortId>(port - ports_.begin());
}

// Interfaces, routes, and the addresses that we speak from.
std::expected<void, StartError> Plane::compile_addresses() {
  std::vector<Interface> interfaces;
  std::vector<IpAddress> own;
  const auto add = [&](PortId port, std::uint16_t vlan, const std::vector<Prefix>& addresses, PortId exception) {
    const PortCaps& caps = ports_[port].port->caps();
    interfaces.push_back({port, vlan, caps.mac, caps.mtu, addresses, exception});
    for (const Prefix& prefix : addresses) own.push_back(prefix.address);
  };
  for (PortId id = 0; id < config_.ports.size(); ++id) {
    const PortConfig& port = config_.ports[id];
    add(id, 0, port.addresses, port_id(port.name + ".exception"));
    for (const VlanConfig& vlan : port.vlans)
      add(id, vlan.id, vlan.addresses, port_id(fmt::format("{}.{}.exception", port.name, vlan.id)));
  }
  std::vector<StaticRoute> statics;
  for (const RouteConfig& route : config_.routes) statics.push_back({route.destination, route.gateway});
  auto routes = Routes::compile(std::move(interfaces), std::move(statics));
  if (!routes) return std::unexpected{StartError{ExitCode::usage, routes.error()}};
  routes_ = std::move(*routes);

  upstream_sources_ = config_.upstream.addresses.empty() ? own : config_.upstream.addresses;
  if (upstream_sources_.size() > tcp::sources_max)
    return std::unexpected{
        StartError{ExitCode::usage, fmt::format("upstream.addresses: at most {}", tcp::sources_max)}};
  std::vector<LocalRange> ranges;
  for (const IpAddress& address : upstream_sources_)
    ranges.push_back({address, config_.upstream.ports, LocalUse::upstream});
  for (const IpAddress& address : config_.snat.addresses.empty() ? own : config_.snat.addresses)
    ranges.push_back({address, config_.snat.ports, LocalUse::snat});
  auto addresses = LocalAddresses::compile(own, ranges);
  if (!addresses)
    return std::unexpected{
        StartError{ExitCode::usage, fmt::format("upstream and snat: the port ranges of {} overlap",
                                                to_text(ranges[addresses.error().first].address).view())}};
  addresses_ = std::move(*addresses);
  return {};
}

std::expected<void, StartError> Plane::start_workers(const Published<Policy>& policy) {
  const auto secret = random_bytes<SipHash::Key>();
  for (std::uint16_t worker = 0; worker < config_.workers; ++worker) {
    WorkerSeat& seat = *workers_[worker];
    std::vector<PortBinding> bindings;
    for (PortId id = 0; id < ports_.size(); ++id) {
      PortSeat& port = ports_[id];
      const QueueOwner queue = queue_of(worker, config_.workers, id, port.port->caps().queues);
      PortBinding binding{.port = queue.owns ? port.port.get() : port.remotes[worker].get(),
                          .queue = queue.queue,
                          .receives = queue.owns};
      for (std::uint16_t other = 0; queue.owns && other < config_.workers; ++other)
        if (port.remotes[other] && queue_of(other, config_.workers, id, port.port->caps().queues).owner == worker)
          binding.remotes.push_back(port.remotes[other].get());
      bindings.push_back(std::move(binding));
    }
    const PipelineDeps deps{.buffers = *buffers_,
                            .counters = seat.counters,
                            .stats = *seat.stats,
                            .l4_stats = *seat.l4_stats,
                            .engine = *seat.engine,
                            .access = seat.access.get(),
                            .cluster_permits = *cluster_permits_,
                            .listener_permits = *listener_permits_,
                            .handoff = *handoff_,
                            .news = *news_,
                            .trace = trace_.get(),
                            .routes = routes_,
                            .addresses = addresses_,
                            .policy = policy};
    PipelineConfig config = worker_config(config_, plan_, upstream_sources_, worker);
    config.tcp.secret = secret;
    config.forward.seeds = random_bytes<FlowHash>();
    config.forward.first_port = random_bytes<std::uint32_t>() % 65'536;
    seat.pipeline = std::make_unique<Pipeline>(config, deps, std::move(bindings), Rng{random_bytes<std::uint64_t>()},
                                               clock_->now());
    if (const auto lines = helpers_->lines(worker); !lines.empty()) seat.pipeline->tls().use_helpers(lines);
    if (worker == 0) seat.pipeline->announce();
  }
  use_large_pages();  // all pools are made
  for (std::uint16_t worker = 0; worker < config_.workers; ++worker) {
    WorkerSeat& seat = *workers_[worker];
    auto thread = WorkerThread::start(fmt::format("sluice-w{}", worker), seat.cpu, [this, worker, &seat] {
      const WorkerLoop loop{.worker = worker,
                            .stop = stop_,
                            .clock = *clock_,
                            .counters = seat.counters,
                            .qsbr = *qsbr_,
                            .idle = {.sleep = config_.idle_sleep}};
      run_worker(loop, [&seat](Nanos now) {
        if (WorkerSeat::Job* job = seat.job.load(std::memory_order_relaxed)) [[unlikely]] {
          job = seat.job.exchange(nullptr, std::memory_order_acquire);
          if (job) {
            const GuardPause pause;  // management's work, on management's behalf
            job->run(*seat.pipeline, now);
            job->done.store(true, std::memory_order_release);
          }
        }
        return seat.pipeline->turn(now);
      });
    });
    if (!thread) return std::unexpected{StartError{ExitCode::failed, thread.error()}};
    seat.thread = std::move(*thread);
  }
  return {};
}

void Plane::stop_workers() {
  stop_ = true;
  for (auto& seat : workers_) seat->thread.reset();
  if (helpers_) helpers_->stop();
}

bool Plane::ask(unsigned worker, std::function<void(Pipeline&, Nanos)> run, Nanos patience) {
  WorkerSeat& seat = *workers_[worker];
  if (!seat.thread) return false;
  WorkerSeat::Job job{std::move(run)};
  seat.job.store(&job, std::memory_order_release);
  const Nanos until = clock_->now() + patience;
  while (!job.done.load(std::memory_order_acquire)) {
    if (clock_->now() < until) {
      std::this_thread::sleep_for(std::chrono::microseconds{20});
      continue;
    }
    WorkerSeat::Job* mine = &job;
    if (seat.job.compare_exchange_strong(mine, nullptr)) return false;            // the worker never saw it
    while (!job.done.load(std::memory_order_acquire)) std::this_thread::yield();  // it is at it right now
  }
  return true;
}

}  // namespace sluice::mgmt
