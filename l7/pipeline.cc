#include "l7/pipeline.h"

#include <algorithm>

#include "dataplane/packet/parse.h"
#include "l4/steer.h"

namespace sluice {

using namespace literals;

namespace {

constexpr std::size_t burst_max = 32;
static_assert(burst_max <= steer_burst_max);
// Bursts read from one port or ring in one turn: more would let the others wait, and timers.
constexpr unsigned bursts_per_turn = 4;

}  // namespace

Pipeline::Pipeline(const PipelineConfig& config, const PipelineDeps& deps, std::vector<PortBinding> ports, Rng rng,
                   Nanos start)
    : config_(config),
      deps_(deps),
      ports_(std::move(ports)),
      queues_([this] {
        std::vector<std::unique_ptr<TxQueue>> queues;
        for (const PortBinding& binding : ports_)
          queues.push_back(std::make_unique<TxQueue>(*binding.port, binding.queue, deps_.buffers, deps_.counters));
        return queues;
      }()),
      queue_of_port_([this] {
        std::vector<TxQueue*> queues;
        for (const auto& queue : queues_) queues.push_back(queue.get());
        return queues;
      }()),
      host_(deps.routes, queue_of_port_, deps.buffers, deps.counters, config.host),
      egress_(host_),
      tcp_(tcp_config(config, this), deps.buffers, deps.counters, start),
      tls_(config.tls, config.worker, deps.engine, deps.buffers, deps.counters),
      forwarder_(forward_config(config, deps), deps.addresses, deps.l4_stats, deps.counters),
      exchanges_(config.exchanges,
                 ExchangesDeps{host_, tcp_, tls_, deps.buffers, deps.counters, deps.stats, deps.cluster_permits,
                               deps.listener_permits, deps.access, deps.trace},
                 rng, start),
      has_exception_ports_(std::ranges::any_of(deps.routes.interfaces(),
                                               [](const Interface& i) { return i.exception_port != no_port; })) {}

Pipeline::~Pipeline() = default;

bool Pipeline::turn(Nanos now) {
  busy_ = false;
  policy_ = deps_.policy.read();
  if (policy_->generation != generation_seen_) policy_changed(now);
  tcp_.set_listeners(tcp::ListenerView{policy_->routes->listener_match.get()});

  for (PortId port = 0; port < ports_.size(); ++port)
    if (ports_[port].receives) receive(port, now);
  for (unsigned i = 0; i < bursts_per_turn; ++i) {
    std::array<Packet, burst_max> burst;
    const std::size_t n = deps_.handoff.receive(config_.worker, burst);
    if (n == 0) break;
    busy_ = true;
    dispatch({burst.data(), n}, now);
  }

  busy_ |= exchanges_.busy() || tls_.jobs_waiting();
  exchanges_.pump(*policy_, now);
  tcp_.output(egress_, now);

  deps_.news.send(config_.worker, host_.take_news(), deps_.counters);
  deps_.news.receive(config_.worker, [this, now](const NeighbourNews& news) { host_.learn(news, now); });
  exchanges_.expire(*policy_, now);
  tcp_.expire(now);
  forwarder_.expire(*policy_->endpoints->services, now);
  host_.tick(now);
  for (PortId port = 0; port < ports_.size(); ++port) {
    send_remote_frames(ports_[port], *queues_[port], now);
    queues_[port]->flush(now);
  }
  policy_ = nullptr;
  return busy_;
}

void Pipeline::receive(PortId port, Nanos now) {
  for (unsigned i = 0; i < bursts_per_turn; ++i) {
    std::array<rte_mbuf*, burst_max> frames;
    const std::uint16_t n = ports_[port].port->receive(ports_[port].queue, frames, now);
    if (n == 0) return;
    busy_ = true;
    std::array<Packet, burst_max> burst;
    std::uint64_t size = 0;
    for (std::uint16_t k = 0; k < n; ++k) {
      burst[k] = Packet{frames[k]};
      burst[k].meta().port = port;  // all else of it is parse's to fill
      size += frames[k]->pkt_len;
    }
    deps_.counters.add(Counter::rx_packets, n);
    deps_.counters.add(Counter::rx_bytes, size);
    process({burst.data(), n}, now);
    if (n < burst_max) return;
  }
}

// Frames as a port gave them: to the kernel's side and back, or parsed and on their way.
void Pipeline::process(std::span<Packet> burst, Nanos now) {
  if (host_.is_exception_port(burst.front().meta().port)) {
    for (Packet& packet : burst) host_.from_exception(std::move(packet), now);
    return;
  }
  std::size_t n = parse(burst, config_.verify_checksums, deps_.counters);
  std::size_t ours = 0;
  std::optional<Counter> reason;  // what continues a packet that is not ours is not ours either
  for (std::size_t i = 0; i < n; ++i) {
    if (!burst[i].meta().continues) reason = host_.not_ours(burst[i]);
    if (reason) [[unlikely]]
      drop(std::move(burst[i]), *reason, deps_.counters);
    else if (ours++ != i) burst[ours - 1] = std::move(burst[i]);
  }
  if (ours == 0) return;
  burst = burst.first(ours);
  if (deps_.trace && deps_.trace->on()) [[unlikely]]
    trace(burst, now);
  dispatch(burst, now);
}

// Parsed packets: every one into its lane, every lane to its stage.
void Pipeline::dispatch(std::span<Packet> burst, Nanos now) {
  const SteerTables tables{.services = *policy_->endpoints->services,
                           .listeners = *policy_->routes->listener_match,
                           .addresses = deps_.addresses,
                           .exceptions = nullptr,
                           .connections = &connections_,
                           .self = config_.worker,
                           .workers = config_.workers,
                           .exception_port = has_exception_ports_};
  steer(burst, tables, lanes_, deps_.counters);
  for (Packet& packet : lanes_.other.packets()) {
    const std::uint16_t owner = packet.meta().owner;
    deps_.handoff.send(config_.worker, owner, {&packet, 1}, deps_.counters);
  }
  for (Packet& packet : lanes_.host.packets()) to_host(std::move(packet), now);
  if (!lanes_.forward.empty()) forward(lanes_.forward.packets(), now);
  if (!lanes_.local.empty()) tcp_.input(lanes_.local.packets(), now);
  for (Packet& packet : lanes_.exception.packets()) to_exception(std::move(packet), now);
  lanes_.clear();
}

// What is not ours goes to the kernel, where the packet's interface has a way to it; else the host answers.
void Pipeline::to_exception(Packet packet, Nanos now) {
  const InterfaceId interface = deps_.routes.on(packet.meta().port, packet.meta().vlan);
  const bool has = interface != no_interface && deps_.routes.interfaces()[interface].exception_port != no_port;
  has ? host_.to_exception(std::move(packet), now) : to_host(std::move(packet), now);
}

// ARP, ND and ICMP are the host's. TCP that nobody listens for gets its reset from TCP, UDP its port unreachable.
void Pipeline::to_host(Packet packet, Nanos now) {
  const Meta& meta = packet.meta();
  if (meta.protocol == Protocol::tcp) return tcp_.input(std::move(packet), now);
  if (meta.protocol == Protocol::udp) return host_.refuse(std::move(packet), IcmpError::port_unreachable, 0, now);
  host_.input(std::move(packet), now);
}

void Pipeline::forward(std::span<Packet> burst, Nanos now) {
  forwarder_.forward(burst, *policy_->endpoints->services, now, forwarded_);
  for (std::uint16_t i = 0; i < forwarded_.count; ++i)
    host_.send(std::move(forwarded_.packets[i]), hop_for(forwarded_.destinations[i]), now);
  for (std::uint16_t i = 0; i < forwarded_.rejected_count; ++i) reject(forwarded_.rejected[i], now);
  forwarded_.count = forwarded_.rejected_count = 0;
}

void Pipeline::reject(Forwarded::Rejected& rejected, Nanos now) {
  if (rejected.why == Rejection::hop_limit)
    return host_.refuse(std::move(rejected.packet), IcmpError::time_exceeded, 0, now);
  if (rejected.why == Rejection::not_ours) {
    if (has_exception_ports_) return to_exception(std::move(rejected.packet), now);
    deps_.counters.add(Counter::drop_no_flow);
  }
  if (rejected.packet.meta().protocol == Protocol::tcp) return tcp_.input(std::move(rejected.packet), now);
  host_.refuse(std::move(rejected.packet), IcmpError::port_unreachable, 0, now);
}

NextHop& Pipeline::hop_for(const IpAddress& destination) {
  CachedHop& cached = hops_[end_hash(destination, 0) % hops];
  if (cached.destination != destination) cached = {destination, {}};
  return cached.hop;
}

// What other workers send on a port whose queue is this worker's.
void Pipeline::send_remote_frames(PortBinding& binding, TxQueue& queue, Nanos now) {
  for (RemotePort* remote : binding.remotes) {
    std::array<rte_mbuf*, burst_max> frames;
    for (unsigned i = 0; i < bursts_per_turn; ++i) {
      const std::size_t n = remote->take(frames);
      for (std::size_t k = 0; k < n; ++k) queue.push(Packet{frames[k]}, now);
      busy_ |= n != 0;
      if (n < frames.size()) break;
    }
  }
}

void Pipeline::policy_changed(Nanos) {
  generation_seen_ = policy_->generation;
  host_.set_services(policy_->routes->addresses.get());
}

void Pipeline::trace(std::span<Packet> burst, Nanos now) {
  for (Packet& packet : burst) {
    Meta& meta = packet.meta();
    if (meta.l3 != L3::ip4 && meta.l3 != L3::ip6) continue;
    const FlowKey key = flow_key(packet);
    meta.story = deps_.trace->match(key.source, key.source_port, key.destination, key.destination_port, key.protocol);
    if (meta.story == 0) continue;
    meta.traced = true;
    ShortText<96> line;
    line.join(to_text(Endpoint{key.source, key.source_port}).view(), " to ",
              to_text(Endpoint{key.destination, key.destination_port}).view());
    deps_.trace->tell(config_.worker, now, meta.story, "receive", line.view());
    const SteerTables tables{*policy_->endpoints->services,
                             *policy_->routes->listener_match,
                             deps_.addresses,
                             nullptr,
                             nullptr,
                             config_.worker,
                             config_.workers,
                             has_exception_ports_};
    constexpr std::string_view names[] = {"drop", "other worker", "host", "forward", "local (TCP)", "exception port"};
    const Decision decision = steer_one(packet, tables);
    line.join("lane ", names[static_cast<std::size_t>(decision.lane)]);
    deps_.trace->tell(config_.worker, now, meta.story, "steer", line.view());
  }
}

// Whether the reply to what we send from this port comes home: steer's rule, asked in the other direction.
bool Pipeline::owns_port(const void* self, const IpAddress& local, std::uint16_t port, const Endpoint& remote) {
  const auto& p = *static_cast<const Pipeline*>(self);
  if (p.config_.workers == 1) return true;
  const auto use = p.deps_.addresses.find(local, port);
  if (use && *use != LocalUse::host) return owner_of_port(port, p.config_.workers) == p.config_.worker;
  return owner_of_hash(tuple_hash(local, port, remote.address, remote.port, Protocol::tcp), p.config_.workers) ==
         p.config_.worker;
}

Forwarder::Config Pipeline::forward_config(const PipelineConfig& config, const PipelineDeps& deps) {
  Forwarder::Config forward = config.forward;
  if (config.exchanges.source_by_route) forward.routes = &deps.routes;
  return forward;
}

tcp::Config Pipeline::tcp_config(const PipelineConfig& config, const Pipeline* self) {
  tcp::Config tcp = config.tcp;
  tcp.port_owner = {&Pipeline::owns_port, self};
  return tcp;
}

}  // namespace sluice
