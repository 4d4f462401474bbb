#include "l4/forward.h"

#include "l4/flow_phase.h"
#include "l4/icmp_inner.h"

namespace sluice {

namespace {

std::uint32_t to_ms(Nanos time) { return static_cast<std::uint32_t>(time.millis()); }

std::uint8_t hop_limit(const Packet& packet) {
  const Meta& meta = packet.meta();
  return meta.l3 == L3::ip4 ? packet.at<wire::Ip4>(meta.l3_offset).ttl : packet.at<wire::Ip6>(meta.l3_offset).hop_limit;
}

// The flag bits that open a connection, of all that may stand beside them.
bool is_opening(const Packet& packet) {
  const std::uint8_t flags = packet.meta().tcp_flags;
  return (flags & (wire::Tcp::syn | wire::Tcp::ack | wire::Tcp::rst | wire::Tcp::fin)) == wire::Tcp::syn;
}

TcpEdges tcp_edges(const Packet& packet) {
  const Meta& meta = packet.meta();
  if (meta.protocol != Protocol::tcp) return {};
  const auto& tcp = packet.at<wire::Tcp>(meta.l4_offset);
  const std::uint32_t length = meta.payload_size + ((meta.tcp_flags & (wire::Tcp::syn | wire::Tcp::fin)) ? 1u : 0u);
  return {static_cast<std::uint16_t>(tcp.sequence.get() + length),
          static_cast<std::uint16_t>(tcp.acknowledgement.get()), meta.payload_size > 0};
}

void reject(Packet packet, Rejection why, Forwarded& out) {
  out.rejected[out.rejected_count++] = {std::move(packet), why};
}

// A rewritten packet leaves its frame behind. What receive noted in ol_flags is no request for transmit.
void emit(Packet packet, const IpAddress& destination, Forwarded& out) {
  rte_mbuf* mbuf = packet.get();
  rte_pktmbuf_adj(mbuf, packet.meta().l3_offset);
  mbuf->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
  mbuf->tx_offload = 0;
  out.destinations[out.count] = destination;
  out.packets[out.count++] = std::move(packet);
}

}  // namespace

// What is fixed for a burst.
struct Forwarder::Turn {
  const Services& services;
  std::uint32_t now_ms;
  std::uint8_t generation;
  Forwarded& out;
};

Forwarder::Forwarder(const Config& config, const LocalAddresses& addresses, L4Stats& stats, Counters& counters)
    : config_(config),
      flows_(config.flows, config.seeds),
      ports_(addresses, config.worker, config.workers, config.first_port),
      stats_(stats),
      counters_(counters) {}

const Backend* Forwarder::choose(const Service& service, const FlowKey& key) {
  const std::uint16_t index = service.maglev.choose(FlowHash{}(key));
  return index == Maglev::none ? nullptr : &service.backends[index];
}

void Forwarder::forward(std::span<Packet> burst, const Services& services, Nanos now, Forwarded& out) {
  DCHECK(burst.size() <= FlowTable::burst_max && out.count == 0 && out.rejected_count == 0);
  std::array<FlowKey, FlowTable::burst_max> keys;
  std::array<FlowRef, FlowTable::burst_max> refs;
  for (std::size_t i = 0; i < burst.size(); ++i) keys[i] = flow_key(burst[i]);
  flows_.find({keys.data(), burst.size()}, refs);
  Turn turn{services, to_ms(now), static_cast<std::uint8_t>(services.generation()), out};
  changed_ = false;
  for (std::size_t i = 0; i < burst.size(); ++i) {
    const Protocol protocol = burst[i].meta().protocol;
    if (protocol == Protocol::tcp || protocol == Protocol::udp) [[likely]]
      take(std::move(burst[i]), keys[i], refs[i], turn);
    else take_error(std::move(burst[i]), turn);
  }
}

void Forwarder::take(Packet packet, const FlowKey& key, FlowRef ref, Turn& turn) {
  if (hop_limit(packet) <= 1) [[unlikely]]
    return reject(std::move(packet), Rejection::hop_limit, turn.out);
  // An earlier packet of the burst may have opened the flow, or ended it.
  if (!ref || changed_) [[unlikely]]
    ref = flows_.find(key);
  Flow* flow = ref ? &flows_[ref] : nullptr;
  Direction direction = ref ? ref.direction() : Direction::from_client;
  if (flow && !usable(*flow, turn)) flow = nullptr;
  if (flow && direction == Direction::from_client && over(flow->phase.get(), flow->seen) && is_opening(packet))
      [[unlikely]] {
    if (!reopen(*flow, key, turn)) {
      close(*flow, Counter::l4_flows_expired);  // the client uses its port again
      flow = nullptr;
    }
  }
  if (!flow) [[unlikely]] {
    flow = open(packet, key, turn);
    if (!flow) return;
    direction = Direction::from_client;
  }
  observe(*flow, direction, packet, turn);
  pass(std::move(packet), *flow, direction, turn);
}

// Counts, rewrites and queues.
void Forwarder::pass(Packet packet, Flow& flow, Direction direction, Turn& turn) {
  const std::uint16_t l3 = packet.meta().l3_offset;
  const std::uint64_t bytes = packet.size() - l3;
  L4Stats::Block &service = stats_.service(flow.ends.service), &endpoint = stats_.endpoint(flow.ends.endpoint);
  if (direction == Direction::from_client) {
    flow.packets_in.add(1);
    flow.bytes_in.add(bytes);
    for (L4Stats::Block* block : {&service, &endpoint}) block->packets_in.add(1), block->bytes_in.add(bytes);
  } else {
    flow.packets_out.add(1);
    flow.bytes_out.add(bytes);
    for (L4Stats::Block* block : {&service, &endpoint}) block->packets_out.add(1), block->bytes_out.add(bytes);
  }
  translate(packet, flow, direction);
  emit(std::move(packet), direction == Direction::from_client ? flow.ends.backend : flow.ends.client, turn.out);
  counters_.add(Counter::l4_packets);
}

void Forwarder::observe(Flow& flow, Direction direction, const Packet& packet, Turn& turn) {
  flow.last_ms.set(turn.now_ms);
  const std::uint8_t flags = packet.meta().tcp_flags;
  const FlowPhase before = flow.phase.get(),
                  after = next_phase(before, flow.seen, flow.ends, direction, flags, tcp_edges(packet));
  if (before == after) [[likely]]
    return;
  flow.phase.set(after);
  if (const Service* service = turn.services.by_id(flow.ends.service))
    flow.timeout_ms.set(to_ms(timeout_of(service->timeouts, after)));
}

// Whether a packet may still go by this flow; if not, the flow has ended.
bool Forwarder::usable(Flow& flow, Turn& turn) {
  if (FlowTable::expired(flow, turn.now_ms)) [[unlikely]] {
    close(flow, Counter::l4_flows_expired);
    return false;
  }
  if (flow.generation == turn.generation) [[likely]]
    return true;
  if (revoked(flow, turn.services)) {
    close(flow, Counter::l4_flows_revoked);
    return false;
  }
  flow.generation = turn.generation;
  return true;
}

bool Forwarder::revoked(Flow& flow, const Services& services) const {
  const Service* service = services.by_id(flow.ends.service);
  const Backend* backend = service ? service->find(flow.ends.endpoint) : nullptr;
  if (!backend || backend->at.address != flow.ends.backend) return true;
  return backend->at.port != 0 && backend->at.port != flow.ends.backend_port;
}

// The same attempt of a client goes on by the flow that it had, unless a new one would go elsewhere.
bool Forwarder::reopen(Flow& flow, const FlowKey& key, Turn& turn) {
  if (!never_opened(flow.phase.get(), flow.seen)) return false;
  const Service* service = turn.services.by_id(flow.ends.service);
  const Backend* backend = service ? choose(*service, key) : nullptr;
  if (!backend || backend->endpoint != flow.ends.endpoint) return false;
  flow.seen = 0;
  flow.phase.set(first_phase(flow.ends.protocol));
  flow.timeout_ms.set(to_ms(timeout_of(service->timeouts, flow.phase.get())));
  return true;
}

Flow* Forwarder::open(Packet& packet, const FlowKey& key, Turn& turn) {
  const auto match = turn.services.find(key.destination, key.destination_port, key.protocol);
  if (!match) {
    reject(std::move(packet), Rejection::not_ours, turn.out);
    return nullptr;
  }
  const Service& service = *match->service;
  if (key.protocol == Protocol::tcp && !is_opening(packet)) {
    counters_.add(Counter::l4_no_flow);
    reject(std::move(packet), Rejection::no_flow, turn.out);
    return nullptr;
  }
  const Backend* backend = choose(service, key);
  if (!backend) {
    counters_.add(Counter::l4_no_backend);
    stats_.service(service.id).refused.add(1);
    reject(std::move(packet), Rejection::no_backend, turn.out);
    return nullptr;
  }
  FlowEnds ends{.client = key.source,
                .vip = key.destination,
                .backend = backend->at.address,
                .local = {},
                .client_port = key.source_port,
                .vip_port = key.destination_port,
                .backend_port = backend->at.port ? backend->at.port : key.destination_port,
                .local_port = 0,
                .service = service.id,
                .endpoint = backend->endpoint,
                .protocol = key.protocol,
                .passed_over = {},
                .network = key.network};
  const bool assigned = ports_.assign(
      ends, flows_, turn.now_ms, [&](const Flow& old) { count_end(old, Counter::l4_flows_expired); },
      source_for(ends.backend));
  Flow* flow = assigned ? insert(ends, service, turn) : nullptr;
  if (flow) return flow;
  stats_.service(service.id).refused.add(1);
  stats_.endpoint(backend->endpoint).refused.add(1);
  drop(std::move(packet), assigned ? Counter::drop_flow_table_full : Counter::drop_snat_exhausted, counters_);
  return nullptr;
}

// A backend is spoken to from the address on its own link, which it can answer without a route to our other networks.
IpAddress Forwarder::source_for(const IpAddress& backend) const {
  if (!config_.routes) return {};
  const Routes::Hop hop = config_.routes->find(backend);
  return hop.interface == no_interface ? IpAddress{} : config_.routes->source(hop.interface, backend);
}

Flow* Forwarder::insert(const FlowEnds& ends, const Service& service, Turn& turn) {
  const FlowPhase phase = first_phase(ends.protocol);
  const std::uint32_t timeout_ms = to_ms(timeout_of(service.timeouts, phase));
  Flow* flow = flows_.insert(ends, turn.now_ms, timeout_ms, phase);
  if (!flow && make_room()) flow = flows_.insert(ends, turn.now_ms, timeout_ms, phase);
  if (!flow) return nullptr;
  flow->generation = turn.generation;
  for (L4Stats::Block* block : {&stats_.service(ends.service), &stats_.endpoint(ends.endpoint)}) {
    block->flows_new.add(1);
    block->flows_active.add(1);
  }
  counters_.add(Counter::l4_flows_opened);
  counters_.add(Counter::l4_flows);
  return flow;
}

bool Forwarder::make_room() {
  bool made = false;
  flows_.walk(evict_tries, [&](Flow& flow) {
    if (made || !unanswered(flow.phase.get())) return;
    close(flow, Counter::l4_flows_evicted);
    made = true;
  });
  return made;
}

void Forwarder::close(Flow& flow, Counter why) {
  count_end(flow, why);
  flows_.remove(flow);
}

void Forwarder::count_end(const Flow& flow, Counter why) {
  changed_ = true;
  stats_.service(flow.ends.service).flows_active.sub(1);
  stats_.endpoint(flow.ends.endpoint).flows_active.sub(1);
  counters_.add(why);
  counters_.sub(Counter::l4_flows);
}

void Forwarder::take_error(Packet packet, Turn& turn) {
  const auto inner = icmp_inner(packet);
  const FlowRef ref = inner ? flows_.find(inner->key.reversed()) : FlowRef{};
  if (!ref || hop_limit(packet) <= 1) return drop(std::move(packet), Counter::drop_no_flow, counters_);
  Flow& flow = flows_[ref];
  translate_error(packet, flow, ref.direction(), *inner);
  emit(std::move(packet), ref.direction() == Direction::from_client ? flow.ends.backend : flow.ends.client, turn.out);
  counters_.add(Counter::l4_packets);
}

void Forwarder::expire(const Services& services, Nanos now) {
  const Nanos passed = now - swept_;
  if (passed.ns <= 0) return;
  // As many flows as it takes to be round once a sweep, at least one, at most the budget.
  const auto due = static_cast<std::uint64_t>(passed.ns / 1000) * flows_.capacity() /
                   static_cast<std::uint64_t>(config_.sweep.ns / 1000 + 1);
  if (due == 0) return;
  swept_ = now;
  const std::uint32_t now_ms = to_ms(now);
  const auto generation = static_cast<std::uint8_t>(services.generation());
  const auto budget = static_cast<std::uint32_t>(due < config_.expire_budget ? due : config_.expire_budget);
  flows_.walk(budget, [&](Flow& flow) {
    if (FlowTable::expired(flow, now_ms)) close(flow, Counter::l4_flows_expired);
    else if (flow.generation == generation) return;
    else if (revoked(flow, services)) close(flow, Counter::l4_flows_revoked);
    else flow.generation = generation;
  });
}

}  // namespace sluice
