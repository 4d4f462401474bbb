#include "tests/support/node.h"

namespace sluice::test {

namespace {

constexpr Nanos start{1};
constexpr std::size_t remote_ring = 64;

// The worker that polls a port's only queue, as mgmt/topology has it.
std::uint16_t owner_of(PortId port, std::uint16_t workers) { return static_cast<std::uint16_t>(port % workers); }

PipelineConfig config_of(const NodePolicy& policy, std::uint16_t worker) {
  PipelineConfig c;
  c.worker = c.forward.worker = c.exchanges.worker = worker;
  c.workers = c.forward.workers = c.exchanges.workers = policy.workers;
  c.host.announces = false;
  c.tcp.connections = c.tcp.handshakes = c.tcp.time_waits = 64;
  c.tcp.transmit_records = 256;
  c.tcp.quick_acks = 0;  // as the appliance
  if (policy.held_buffers_max) c.tcp.held_buffers_max = policy.held_buffers_max;
  for (const LocalRange& range : policy.local)
    if (range.use == LocalUse::upstream)
      c.tcp.sources[c.tcp.source_count++] = {range.address, range.ports.first, range.ports.last};
  c.tls.sessions = c.tls.hot_keys = c.tls.handshakes = 1;
  c.forward.flows = 256;
  c.exchanges.connections = c.exchanges.exchanges = 64;
  c.exchanges.small_heads = c.exchanges.large_heads = 16;
  c.exchanges.objects = {16, 16, 16, 16, 16};
  return c;
}

route::spec::Spec routes_to(std::uint32_t cluster) {
  route::spec::Route all;
  all.clusters = {{cluster, 1}};
  all.timeouts.request = {};  // the cluster's
  return {{{.name = "all", .id = 1, .hosts = {"*"}, .routes = {all}}}};
}

}  // namespace

std::expected<std::unique_ptr<Node>, std::string> Node::make(const NodePolicy& policy, Buffers& buffers) {
  std::vector<IpAddress> own;
  for (const Interface& interface : policy.interfaces)
    for (const Prefix& prefix : interface.addresses) own.push_back(prefix.address);
  auto routes = Routes::compile(policy.interfaces, policy.routes);
  if (!routes) return std::unexpected(routes.error());
  auto addresses = LocalAddresses::compile(own, policy.local);
  if (!addresses) return std::unexpected(std::string{"snat and upstream: ranges overlap"});
  std::unique_ptr<Node> node{new Node{policy, std::move(*routes), std::move(*addresses), buffers}};
  if (auto applied = node->apply(policy); !applied) return std::unexpected(applied.error());
  for (std::uint16_t worker = 0; worker < policy.workers; ++worker) node->open(policy, worker, buffers);
  return node;
}

Node::Node(const NodePolicy& policy, Routes routes, LocalAddresses addresses, Buffers& buffers)
    : workers_(policy.workers), routes_(std::move(routes)), addresses_(std::move(addresses)) {
  for (PortId port = 0; port < policy.ports.size(); ++port) {
    ports_.push_back(std::make_unique<MemoryPort>(PortCaps{.mac = policy.ports[port]}, buffers));
    auto& remotes = remotes_.emplace_back();
    for (std::uint16_t worker = 0; worker < workers_; ++worker)
      remotes.push_back(owner_of(port, workers_) == worker ? nullptr
                                                           : std::make_unique<RemotePort>(*ports_[port], remote_ring));
  }
}

void Node::open(const NodePolicy& policy, std::uint16_t worker, Buffers& buffers) {
  auto seat = std::make_unique<Seat>();
  seat->engine = std::move(*Engine::open(seat->counters));
  std::vector<PortBinding> bindings;
  for (PortId port = 0; port < ports_.size(); ++port) {
    const bool owns = owner_of(port, workers_) == worker;
    PortBinding binding{.port = owns ? static_cast<Port*>(ports_[port].get()) : remotes_[port][worker].get(),
                        .receives = owns};
    for (const auto& remote : remotes_[port])
      if (owns && remote) binding.remotes.push_back(remote.get());
    bindings.push_back(std::move(binding));
  }
  const PipelineDeps deps{.buffers = buffers,
                          .counters = seat->counters,
                          .stats = seat->stats,
                          .l4_stats = seat->l4_stats,
                          .engine = *seat->engine,
                          .cluster_permits = cluster_permits_,
                          .listener_permits = listener_permits_,
                          .handoff = handoff_,
                          .news = news_,
                          .routes = routes_,
                          .addresses = addresses_,
                          .policy = published_};
  seat->pipeline = std::make_unique<Pipeline>(config_of(policy, worker), deps, std::move(bindings), Rng{worker}, start);
  seats_.push_back(std::move(seat));
  qsbr_.online(worker);
}

Node::~Node() {
  for (unsigned worker = 0; worker < seats_.size(); ++worker) qsbr_.offline(worker);
  seats_.clear();
}

std::expected<void, std::string> Node::apply(const NodePolicy& policy) {
  auto services = Services::compile(policy.services, ++generation_);
  std::vector<ListenerRule> rules;
  for (const NodeListener& listener : policy.listeners) rules.push_back(listener.rule);
  auto match = Listeners::compile(rules);
  if (!services || !match) return std::unexpected(std::string{"listeners or services are refused"});

  std::vector<policy::Listener> listeners;
  std::vector<policy::Cluster> clusters;
  auto endpoints = std::make_shared<policy::EndpointSet>();
  auto routes = std::make_shared<policy::RouteSet>();
  std::vector<Prefix> vips;
  std::vector<std::shared_ptr<const route::Table>> tables;
  for (const NodeListener& listener : policy.listeners) {
    const std::uint32_t id = listener.rule.id;
    auto table = route::compile(listener.to ? routes_to(id) : route::spec::Spec{}, databases_);
    CHECK(table.has_value());
    tables.push_back(std::make_shared<route::Table>(std::move(*table)));
    listeners.push_back({.id = id,
                         .generation = 1,
                         .name = "listener",
                         .routes = tables.back(),
                         .timeouts = {Nanos{10'000'000'000}, Nanos::never(), Nanos::never()},
                         .use_client_address = listener.use_client_address});
    listener_permits_.set_limit(id, 0, Permit::unlimited);
    if (!listener.to) continue;
    clusters.push_back({.id = id,
                        .generation = 1,
                        .name = "cluster",
                        .connect_timeout = listener.connect_timeout,
                        .request_timeout = listener.request_timeout,
                        .idle_timeout = Nanos::never()});
    auto group = std::make_shared<policy::EndpointGroup>();
    group->id = id;
    group->endpoints = {{.id = id, .generation = 1, .address = *listener.to, .name = "endpoint"}};
    group->total_weight = 1;
    endpoints->groups.resize(std::max<std::size_t>(endpoints->groups.size(), id + 1));
    endpoints->groups[id] = std::move(group);
    cluster_permits_.set_limit(id, static_cast<std::uint32_t>(ClusterPermit::connections), listener.max_connections);
    cluster_permits_.set_limit(id, static_cast<std::uint32_t>(ClusterPermit::pending), 1024);
    cluster_permits_.set_limit(id, static_cast<std::uint32_t>(ClusterPermit::requests), listener.max_requests);
  }
  for (const ServiceSpec& service : policy.services) vips.push_back(service.vip);
  routes->listeners = policy::ById{std::move(listeners)};
  routes->listener_match = std::make_shared<Listeners>(std::move(*match));
  routes->addresses = std::make_shared<AddressSet>(std::move(vips));
  std::vector<const route::Table*> all;
  for (const auto& table : tables) all.push_back(table.get());
  for (route::Scratch& scratch : route::make_scratches(all, workers_))
    routes->scratch.push_back(std::make_shared<route::Scratch>(std::move(scratch)));
  endpoints->services = std::make_shared<Services>(std::move(*services));
  published_.publish(
      std::make_unique<Policy>(Policy{generation_, std::move(routes),
                                      std::make_shared<policy::ClusterSet>(policy::ById{std::move(clusters)}),
                                      std::move(endpoints)}),
      qsbr_);
  return {};
}

void Node::turn(Nanos now) {
  for (unsigned round = 0; round < workers_; ++round)
    for (auto& seat : seats_) seat->pipeline->turn(now);
  for (unsigned worker = 0; worker < seats_.size(); ++worker) qsbr_.quiescent(worker);
  qsbr_.reclaim();
}

std::vector<std::pair<PortId, Frame>> Node::collect() {
  std::vector<std::pair<PortId, Frame>> out;
  for (PortId port = 0; port < ports_.size(); ++port)
    while (auto bytes = ports_[port]->collect_bytes()) out.emplace_back(port, std::move(*bytes));
  return out;
}

std::uint64_t Node::count(Counter counter) const {
  std::uint64_t sum = 0;
  for (const auto& seat : seats_) sum += seat->counters.get(counter);
  return sum;
}

}  // namespace sluice::test
