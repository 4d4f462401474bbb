#include "perf/rig.h"

#include <fmt/format.h>
#include <sched.h>

#include <cstdlib>
#include <map>
#include <thread>

#include "dataplane/base/large_pages.h"
#include "dataplane/core/worker.h"

namespace sluice::perf {

namespace {

// Small limits: run-time state is sized by them.
constexpr policy::ObjectLimits objects{.listeners = 16, .routes = 64, .clusters = 16, .endpoints = 256, .services = 16};

template <typename T, typename E>
T or_give_up(std::expected<T, E> result, const char* what) {
  if (!result) give_up(fmt::format("{} is refused", what));
  return std::move(*result);
}

Routes compile_routes(const RigSpec& spec) {
  auto routes = Routes::compile(spec.interfaces, spec.routes);
  if (!routes) give_up(routes.error());
  return std::move(*routes);
}

LocalAddresses compile_addresses(const RigSpec& spec) {
  std::vector<IpAddress> own;
  for (const Interface& interface : spec.interfaces)
    for (const Prefix& prefix : interface.addresses) own.push_back(prefix.address);
  return or_give_up(LocalAddresses::compile(own, spec.local), "the list of local addresses");
}

mgmt::Compiled compile_policy(const mgmt::spec::Policy& spec, const mgmt::Means& means) {
  std::map<std::pair<policy::ObjectKind, std::string>, std::uint32_t> ids;
  std::map<policy::ObjectKind, std::uint32_t> next;
  const mgmt::IdOf id_of = [&](policy::ObjectKind kind, std::string_view name) {
    const auto [at, fresh] = ids.try_emplace({kind, std::string{name}}, 0);
    if (fresh) at->second = next[kind]++;
    return mgmt::ObjectRef{kind, at->second, 1};
  };
  const mgmt::Verdict verdict = mgmt::validate(spec, means.node);
  for (const mgmt::Fault& fault : verdict.faults) give_up(fault.path + ": " + fault.message);
  mgmt::Faults warnings;
  auto compiled = mgmt::compile(spec, mgmt::compile_nothing(means), 1, means, id_of, std::time(nullptr), warnings);
  if (!compiled) give_up(compiled.error().front().path + ": " + compiled.error().front().message);
  return std::move(*compiled);
}

std::vector<std::string> port_names(std::size_t count) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) names.push_back(fmt::format("port{}", i));
  return names;
}

}  // namespace

void give_up(const std::string& why) {
  fmt::print(stderr, "sluice-bench: {}\n", why);
  std::exit(1);
}

Rig::Rig(RigSpec spec, Buffers& buffers, const Clock& clock)
    : clock_(clock),
      spec_(std::move(spec)),
      libraries_(spec_.workers),
      qsbr_(std::make_unique<Qsbr>(spec_.workers)),
      cluster_permits_(objects.clusters, static_cast<std::uint32_t>(ClusterPermit::count_), spec_.workers),
      listener_permits_(objects.listeners, 1, spec_.workers),
      handoff_(spec_.workers, 1024),
      news_(spec_.workers),
      routes_(compile_routes(spec_)),
      addresses_(compile_addresses(spec_)) {
  const auto key = tls::TicketKeys::random_key();
  if (!key) give_up("no random numbers for ticket keys");
  keyring_.rotate(*key);
  compiled_ = compile_policy(
      spec_.policy, {libraries_, keyring_, databases_, {objects, port_names(spec_.ports.size())}, spec_.workers});
  for (const policy::Cluster& cluster : compiled_.policy.clusters->clusters) {
    const std::uint32_t limits[] = {cluster.max_connections, cluster.max_pending, cluster.max_requests};
    for (std::uint32_t kind = 0; kind < 3; ++kind) cluster_permits_.set_limit(cluster.id, kind, limits[kind]);
  }
  published_ = std::make_unique<Published<Policy>>(std::make_unique<const Policy>(compiled_.policy));

  for (std::uint16_t worker = 0; worker < spec_.workers; ++worker) {
    auto seat = std::make_unique<Seat>();
    seat->stats = std::make_unique<Stats>(objects);
    seat->l4_stats = std::make_unique<L4Stats>(objects.services, objects.endpoints);
    auto engine = Engine::open(seat->counters);
    if (!engine) give_up(engine.error());
    seat->engine = std::move(*engine);
    PipelineConfig config = spec_.pipeline;
    config.tcp.quick_acks = 0;  // as the appliance
    config.worker = config.forward.worker = config.exchanges.worker = worker;
    config.workers = config.forward.workers = config.exchanges.workers = spec_.workers;
    config.exchanges.objects = objects;
    config.host.announces = worker == 0;
    for (const LocalRange& range : spec_.local)
      if (range.use == LocalUse::upstream)
        config.tcp.sources[config.tcp.source_count++] = {range.address, range.ports.first, range.ports.last};
    std::vector<PortBinding> bindings;
    for (Port* port : spec_.ports) bindings.push_back({.port = port, .queue = worker, .receives = true, .remotes = {}});
    const PipelineDeps deps{.buffers = buffers,
                            .counters = seat->counters,
                            .stats = *seat->stats,
                            .l4_stats = *seat->l4_stats,
                            .engine = *seat->engine,
                            .access = nullptr,
                            .cluster_permits = cluster_permits_,
                            .listener_permits = listener_permits_,
                            .handoff = handoff_,
                            .news = news_,
                            .trace = nullptr,
                            .routes = routes_,
                            .addresses = addresses_,
                            .policy = *published_};
    seat->pipeline = std::make_unique<Pipeline>(config, deps, std::move(bindings), Rng{worker + 1u}, clock.now());
    qsbr_->online(worker);
    seats_.push_back(std::move(seat));
  }
  use_large_pages();
}

Rig::~Rig() {
  for (std::uint16_t worker = 0; worker < spec_.workers; ++worker) qsbr_->offline(worker);
  seats_.clear();
  qsbr_.reset();
}

std::string Rig::drops() const {
  std::string out;
  for (const auto& seat : seats_)
    for (std::size_t i = 0; i < counter_count; ++i)
      if ((counter_info[i].name.starts_with("drop_") || counter_info[i].name.ends_with("_full")) &&
          seat->counters.get(static_cast<Counter>(i)) > 0)
        out += fmt::format("{}{} {}", out.empty() ? "" : ", ", counter_info[i].name,
                           seat->counters.get(static_cast<Counter>(i)));
  return out;
}

void on_workers(std::uint16_t workers, const std::function<void(std::uint16_t)>& body) {
  const int cpus = static_cast<int>(std::thread::hardware_concurrency());
  if (workers > cpus) give_up(fmt::format("{} workers need as many CPUs", workers));
  std::vector<std::unique_ptr<WorkerThread>> threads;
  for (std::uint16_t worker = 0; worker < workers; ++worker) {
    auto thread = WorkerThread::start(fmt::format("bench-w{}", worker), cpus - 1 - worker, [worker, &body] {
      const sched_param priority{.sched_priority = 1};
      pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority);
      body(worker);
    });
    if (!thread) give_up(thread.error());
    threads.push_back(std::move(*thread));
  }
}

}  // namespace sluice::perf
