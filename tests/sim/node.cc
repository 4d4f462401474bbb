#include "tests/sim/node.h"

#include <set>

#include "dataplane/base/guard.h"
#include "mgmt/encode.h"
#include "mgmt/topology.h"
#include "tests/sim/ends.h"
#include "tests/sim/policies.h"

namespace sluice::sim {

using namespace literals;
using policy::ObjectKind;

namespace {

constexpr auto cluster_kinds = static_cast<std::uint32_t>(ClusterPermit::count_);
const PortRange snat_ports{40000, 59999};
constexpr Nanos shrinking = 5_s;  // windows do, for so long (world.cc)

tls::TicketKeys fixed_ticket_keys() {
  tls::TicketKeys keys;
  keys.current.name.fill(1);
  keys.current.cipher.fill(2);
  keys.current.mac.fill(3);
  return keys;
}

}  // namespace

Node::Node(const NodeSpec& spec, Shared& shared, Nanos start)
    : spec_(spec),
      shared_(shared),
      rng_(spec.seed),
      started_(start),
      config_(config_of(0)),
      qsbr_(spec.workers),
      cluster_permits_(objects_.clusters, cluster_kinds, spec.workers),
      listener_permits_(objects_.listeners, 1, spec.workers),
      handoff_(spec.workers, spec.scarce ? 64 : 1024),
      news_(spec.workers) {
  keyring_.set(fixed_ticket_keys());
  open_ports();
  const mgmt::Means means{shared.libraries, keyring_, shared.databases, mgmt::NodeFacts{objects_, {"in", "out"}},
                          spec.workers,     {}};
  publisher_ = std::make_unique<mgmt::Publisher>(means, mgmt::DecodeLimits{}, qsbr_, *this, nullptr);
  build_pipelines(start);
  apply(make_policy(odd_, extra_));
}

Node::~Node() {
  for (unsigned worker = 0; worker < spec_.workers; ++worker) qsbr_.offline(worker);
  seats_.clear();
}

void Node::open_ports() {
  std::vector<Interface> interfaces;
  std::vector<IpAddress> own;
  for (PortId port = 0; port < ports; ++port) {
    PortCaps caps{.mac = {{2, 0, 0, 0, 0, static_cast<std::uint8_t>(port + 1)}}};
    caps.multi_segment = caps.shared_buffers = spec_.offloads;
    auto end = std::make_unique<MemoryPort>(caps, shared_.buffers, 4096);
    ends_[port] = end.get();
    auto cable = std::make_unique<Cable>(std::move(end), spec_.cable[port], shared_.buffers, spec_.seed * 10 + port);
    cables_[port] = cable.get();
    ports_[port] = std::make_unique<Impaired>(std::move(cable), spec_.impair[port]);
    watches_[port] = std::make_unique<FrameWatch>(*ports_[port]);
    const std::string net = std::to_string(port);
    interfaces.push_back(
        {.port = port,
         .mac = caps.mac,
         .addresses = {*parse_prefix("10." + net + ".0.1/24"), *parse_prefix("fd0" + net + "::1/64")}});
    for (const Prefix& prefix : interfaces.back().addresses) own.push_back(prefix.address);
    for (std::uint16_t worker = 0; worker < spec_.workers; ++worker)
      remotes_[port].push_back(mgmt::queue_of(worker, spec_.workers, port, 1).owns
                                   ? nullptr
                                   : std::make_unique<RemotePort>(*watches_[port], 1024));
  }
  auto routes = Routes::compile(interfaces, {});
  CHECK(routes.has_value());
  routes_ = std::move(*routes);
  std::vector<LocalRange> ranges;
  for (const char* address : {"10.1.0.1", "fd01::1"}) {
    ranges.push_back({*parse_ip(address), upstream_ports(), LocalUse::upstream});
    ranges.push_back({*parse_ip(address), snat_ports, LocalUse::snat});
  }
  auto addresses = LocalAddresses::compile(own, ranges);
  CHECK(addresses.has_value());
  addresses_ = std::move(*addresses);
}

PortRange Node::upstream_ports() const { return {20000, static_cast<std::uint16_t>(spec_.few_ports ? 20007 : 39999)}; }

PipelineConfig Node::config_of(std::uint16_t worker) const {
  PipelineConfig c;
  c.worker = c.forward.worker = c.exchanges.worker = worker;
  c.workers = c.forward.workers = c.exchanges.workers = spec_.workers;
  c.host.announces = worker == 0;
  c.host.neighbours.capacity = 64;
  const bool scarce = spec_.scarce;
  c.tcp.connections = scarce ? 24 : 512;
  c.tcp.handshakes = scarce ? 8 : 256;
  c.tcp.time_waits = scarce ? 16 : 512;
  c.tcp.transmit_records = scarce ? 64 : 8192;
  c.tcp.transits = scarce ? 8 : 512;
  c.tcp.held_buffers_max = scarce ? 96 : 4096;
  c.tcp.out_of_order_buffers_max = c.tcp.held_buffers_max / 4;
  c.tcp.receive_limit = c.tcp.out_of_order_limit = c.tcp.send_limit = scarce ? 16 * 1024 : 64 * 1024;
  c.tcp.time_wait = 4_s;
  if (spec_.cookies) c.tcp.syn_cookies = tcp::SynCookies::always;
  c.tcp.fin_wait_2 = 5_s;
  c.tcp.pacing = spec_.seed % 2;
  c.tcp.user_timeout = 300_s;
  c.tcp.handshake_timeout = 60_s;
  c.tcp.ecn = spec_.ecn;
  c.tcp.secret[0] = 77;
  for (const char* address : {"10.1.0.1", "fd01::1"})
    c.tcp.sources[c.tcp.source_count++] = {*parse_ip(address), upstream_ports().first, upstream_ports().last};
  c.tls.sessions = scarce ? 8 : 256;
  c.tls.hot_keys = scarce ? 2 : 16;
  if (spec_.rekeys) c.tls.rekey_after = 12;
  c.tls.handshakes = scarce ? 4 : 64;
  c.forward.flows = 512;
  c.exchanges.connections = scarce ? 20 : 512;
  c.exchanges.exchanges = scarce ? 10 : 256;
  c.exchanges.small_heads = scarce ? 40 : 1024;
  c.exchanges.large_heads = 8;
  c.exchanges.objects = objects_;
  c.exchanges.linger = 1_s;
  c.exchanges.handshake_timeout = c.tls.patience = 120_s;  // a flight may be lost several times
  return c;
}

void Node::build_pipelines(Nanos start) {
  for (std::uint16_t worker = 0; worker < spec_.workers; ++worker) {
    auto seat = std::make_unique<Seat>();
    seat->stats = std::make_unique<Stats>(objects_);
    seat->l4_stats = std::make_unique<L4Stats>(objects_.services, objects_.endpoints);
    std::vector<PortBinding> bindings;
    for (PortId port = 0; port < ports; ++port) {
      const mgmt::QueueOwner queue = mgmt::queue_of(worker, spec_.workers, port, 1);
      PortBinding binding{.port = queue.owns ? static_cast<Port*>(watches_[port].get()) : remotes_[port][worker].get(),
                          .queue = queue.queue,
                          .receives = queue.owns};
      for (const auto& remote : remotes_[port])
        if (queue.owns && remote) binding.remotes.push_back(remote.get());
      bindings.push_back(std::move(binding));
    }
    const PipelineDeps deps{.buffers = shared_.buffers,
                            .counters = seat->counters,
                            .stats = *seat->stats,
                            .l4_stats = *seat->l4_stats,
                            .engine = *shared_.engines[worker],
                            .cluster_permits = cluster_permits_,
                            .listener_permits = listener_permits_,
                            .handoff = handoff_,
                            .news = news_,
                            .routes = routes_,
                            .addresses = addresses_,
                            .policy = publisher_->published()};
    seat->pipeline =
        std::make_unique<Pipeline>(config_of(worker), deps, std::move(bindings), Rng{spec_.seed * 100 + worker}, start);
    seats_.push_back(std::move(seat));
    qsbr_.online(worker);
  }
  for (Cable* cable : cables_)
    cable->amid_turn = [this] {
      if (rng_.chance_ppm(2'000) && spec_.swaps) swap_policy();
      publisher_->housekeep();
    };
}

bool Node::turn(Nanos now) {
  bool busy = false;
  for (unsigned worker = 0; worker < spec_.workers; ++worker) {
    bool working = false;
    {
      const TurnGuard guard;
      working = seats_[worker]->pipeline->turn(now);
    }
    watch(*seats_[worker], working, now);
    busy |= working;
    if (rng_.below(4)) qsbr_.quiescent(worker);  // some turns seem long to management
  }
  audit_.turned(busy);
  return busy;
}

// Of windows after every turn, as long as they shrink, in every fourth seed; of pressure where pools are small.
void Node::watch(Seat& seat, bool busy, Nanos now) {
  const bool always = spec_.seed % 4 == 1 && now < started_ + shrinking;
  if (!always && !(spec_.scarce && (busy || seat.watch.due(seat.counters)))) return;
  const std::string found = seat.watch.look(seat.pipeline->tcp(), seat.counters, always, now);
  if (seen_.empty()) seen_ = found;
}

std::vector<tcp::Info> Node::connections(Nanos now) const {
  std::vector<tcp::Info> all;
  for (const auto& seat : seats_) {
    const auto of_worker = connections_in(seat->pipeline->tcp(), now);
    all.insert(all.end(), of_worker.begin(), of_worker.end());
  }
  return all;
}

void Node::apply(const mgmt::spec::Policy& policy) {
  const auto bytes = mgmt::encode_policy(policy, mgmt::PrivateKeys::keep);
  const auto result = publisher_->apply(bytes);
  for (const mgmt::Fault& fault : result.faults)
    std::fprintf(stderr, "policy: %s: %s\n", fault.path.c_str(), fault.message.c_str());
  CHECK(result.kind == mgmt::ApplyResult::Kind::applied);
}

void Node::swap_policy() {
  odd_ = !odd_;
  apply(make_policy(odd_, extra_));
  ++swaps;
}

void Node::swap_endpoint() {
  mgmt::spec::EndpointDelta delta;
  if (extra_) delta.remove.push_back({"a", "second"});
  else delta.set.push_back(extra_endpoint());
  extra_ = !extra_;
  CHECK(publisher_->apply(delta).kind == mgmt::ApplyResult::Kind::applied);
  ++swaps;
}

void Node::try_bad_policy() {
  const auto result = publisher_->apply(mgmt::encode_policy(bad_policy(), mgmt::PrivateKeys::keep));
  CHECK(result.kind == mgmt::ApplyResult::Kind::refused);
  CHECK(result.faults.size() == 2);
}

void Node::publishing(const Policy& next) {
  for (const policy::Cluster& cluster : next.clusters->clusters) {
    cluster_permits_.set_limit(cluster.id, static_cast<std::uint32_t>(ClusterPermit::connections),
                               cluster.max_connections);
    cluster_permits_.set_limit(cluster.id, static_cast<std::uint32_t>(ClusterPermit::pending), cluster.max_pending);
    cluster_permits_.set_limit(cluster.id, static_cast<std::uint32_t>(ClusterPermit::requests), cluster.max_requests);
  }
}

bool Node::is_idle(const mgmt::ObjectRef& id) {
  std::uint64_t active = 0;
  for (const auto& seat : seats_) {
    const ObjectStats& stats = std::as_const(*seat->stats).at(id.kind, id.id);
    active += stats.get(Figure::active_requests) + stats.get(Figure::active_connections);
    if (id.kind == ObjectKind::service) active += std::as_const(*seat->l4_stats).service(id.id).flows_active.get();
    if (id.kind == ObjectKind::endpoint) active += std::as_const(*seat->l4_stats).endpoint(id.id).flows_active.get();
  }
  return active == 0;
}

// The handles that l7 keeps are put into the new state's place, as a process that takes over would.
void Node::move_something(Nanos now) {
  constexpr unsigned buffers_of_an_image = 128;  // who takes over has room for what it takes over
  if (shared_.buffers.data_free() < buffers_of_an_image) return;
  Pipeline& pipeline = *seats_[rng_.below(spec_.workers)]->pipeline;
  // What is forgotten keeps its place until its events are taken.
  if (pipeline.tcp().connection_count() == config_.tcp.connections) return;
  tcp::Info found[64];
  std::size_t count = 0;
  pipeline.tcp().list(0, found, count, now);
  if (count == 0) return;
  const tcp::Info& info = found[rng_.below(static_cast<std::uint32_t>(count))];
  auto* connection = const_cast<Connection*>(pipeline.exchanges().connection(info.user));
  if (!connection || connection->state != Connection::State::open) return;
  const std::size_t size = pipeline.tcp().image_size(connection->tcp);
  std::vector<std::uint8_t> image(size);
  if (size == 0 || pipeline.tcp().export_image(connection->tcp, image, now) == 0) return;
  pipeline.tcp().forget(connection->tcp);
  const auto tcp = pipeline.tcp().import_image(image, info.user, now);
  CHECK(tcp.has_value());
  connection->tcp = *tcp;
  ++tcp_images;
  if (!connection->tls) return;
  image.resize(pipeline.tls().image_size(connection->tls));
  if (image.empty() || pipeline.tls().export_image(connection->tls, image) == 0) return;
  pipeline.tls().free(connection->tls);
  connection->tls = pipeline.tls().import_image(image);
  CHECK(connection->tls);
  ++tls_images;
}

std::uint64_t Node::counter(Counter counter) const {
  std::uint64_t sum = 0;
  for (const auto& seat : seats_) sum += seat->counters.get(counter);
  return sum;
}

std::uint64_t Node::refused_by_pools() const {
  std::uint64_t sum = 0;
  for (const Counter c : {Counter::drop_tcp_held, Counter::http_refused_pool_full, Counter::tcp_connections_full,
                          Counter::tls_sessions_refused, Counter::tcp_handshakes_evicted, Counter::drop_no_buffer,
                          Counter::http_connect_no_resource, Counter::tcp_no_records})
    sum += counter(c);
  return sum;
}

ImpairStats Node::impaired() const {
  ImpairStats sum;
  for (const auto& port : ports_)
    for (const ImpairStats& s : {port->received(), port->transmitted()}) {
      sum.lost += s.lost;
      sum.reordered += s.reordered;
      sum.duplicated += s.duplicated;
      sum.corrupted += s.corrupted;
      sum.overflowed += s.overflowed;
      sum.burst_lost += s.burst_lost;
      sum.marked += s.marked;
    }
  return sum;
}

std::string Node::leftovers() const {
  std::string text;
  const auto add = [&](const char* what, std::uint64_t n) {
    if (n) text += " " + std::to_string(n) + " " + what;
  };
  for (const auto& seat : seats_) {
    Pipeline& p = *seat->pipeline;
    add("client connections", p.exchanges().client_connections());
    add("exchanges", p.exchanges().active());
    add("TCP connections", p.tcp().connection_count());
    add("half-open connections", p.tcp().handshake_count());
    add("buffers held by TCP", p.tcp().held_buffers());
    add("TLS sessions", p.tls().size());
    add("L4 flows", seat->counters.get(Counter::l4_flows));
    add("SSL objects", seat->counters.get(Counter::tls_ssl_objects));
    add("upstream connections (gauge)", seat->counters.get(Counter::http_upstream_connections));
    add("client connections (gauge)", seat->counters.get(Counter::http_client_connections));
  }
  for (std::uint32_t id = 0; id < objects_.clusters; ++id)
    for (std::uint32_t kind = 0; kind < cluster_kinds; ++kind)
      add("permits of a cluster", cluster_permits_.in_use(id, kind));
  for (std::uint32_t id = 0; id < objects_.listeners; ++id)
    add("permits of a listener", listener_permits_.in_use(id, 0));
  for (unsigned worker = 0; worker < spec_.workers; ++worker) add("packets between workers", handoff_.waiting(worker));
  if (snapshots() > 1) add("policies", snapshots());
  return text;
}

std::string Node::shared_connections(Nanos now) {
  const std::uint64_t opened = counter(Counter::tcp_accepted) + counter(Counter::tcp_connected) + tcp_images;
  if (seats_.size() < 2 || std::exchange(opened_, opened) == opened) return {};
  std::set<std::array<std::uint64_t, 6>> seen;
  for (const tcp::Info& info : connections(now)) {
    std::array<std::uint64_t, 6> key{};
    std::memcpy(&key[0], info.local.address.bytes.data(), 16);
    std::memcpy(&key[2], info.remote.address.bytes.data(), 16);
    key[4] = info.local.port, key[5] = info.remote.port;
    if (!seen.insert(key).second) return "a connection is on two workers";
  }
  return {};
}

std::string Node::broken() const {
  if (!seen_.empty()) return seen_;
  for (const auto& watch : watches_)
    if (!watch->failure().empty()) return watch->failure();
  if (!audit_.due()) return {};
  if (shared_.buffers.data_free() > shared_.data || shared_.buffers.slices_free() > shared_.slices)
    return "a packet buffer is in its pool twice";
  for (std::uint32_t id = 0; id < objects_.clusters; ++id)
    for (std::uint32_t kind = 0; kind < cluster_kinds; ++kind)
      if (cluster_permits_.in_use(id, kind) > cluster_permits_.limit(id, kind))
        return "more permits of a cluster in use than its limit";
  for (const auto& seat : seats_) {
    const Pipeline& p = *seat->pipeline;
    if (const_cast<Pipeline&>(p).tcp().held_buffers() > config_.tcp.held_buffers_max + 64)
      return "TCP holds more buffers than it may";
    if (const char* fault = const_cast<Pipeline&>(p).tcp().audit()) return fault;
    if (p.exchanges().active() > config_.exchanges.exchanges) return "more exchanges than the pool has";
  }
  return {};
}

}  // namespace sluice::sim
