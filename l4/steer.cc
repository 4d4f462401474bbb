#include "l4/steer.h"

#include "dataplane/base/hash.h"
#include "l4/icmp_inner.h"

namespace sluice {

namespace {

Decision dropped(Counter reason) { return {Lane::drop, 0, reason}; }

bool is_limited_broadcast(const IpAddress& address) { return address.is_v4() && address.v4() == 0xffffffff; }

// What nothing of ours takes.
Decision unclaimed(const IpAddress& destination, std::optional<LocalUse> use, const SteerTables& tables) {
  const bool group = destination.is_multicast() || is_limited_broadcast(destination);
  if (!use && !group) return dropped(Counter::drop_not_ours);
  if (tables.exception_port) return {Lane::exception, tables.self, {}};
  if (group) return dropped(Counter::drop_multicast);
  return {Lane::host, tables.self, {}};
}

// What the tables say of a destination, whoever sends there.
struct Destination {
  IpAddress address;
  std::uint16_t port = 0;
  PortId ingress = no_port;
  Protocol protocol = Protocol::none;
  bool is_spoken_from = false;  // step 3: the port names its owner
  Lane lane = Lane::drop;       // by step 3 or 4
  std::optional<LocalUse> use;

  bool is_of(const FlowKey& key, PortId from) const {
    return port == key.destination_port && ingress == from && protocol == key.protocol && address == key.destination;
  }
};

Destination look_up(const FlowKey& key, PortId ingress, const SteerTables& tables) {
  Destination to{
      .address = key.destination, .port = key.destination_port, .ingress = ingress, .protocol = key.protocol};
  to.use = tables.addresses.find(key.destination, key.destination_port);
  const bool tcp = key.protocol == Protocol::tcp;
  if (to.use && *to.use != LocalUse::host && owner_of_port(key.destination_port, tables.workers) < tables.workers) {
    to.is_spoken_from = true;
    if (*to.use == LocalUse::snat) to.lane = Lane::forward;
    else if (tcp) to.lane = Lane::local;
    return to;
  }
  const auto listener = tcp ? tables.listeners.match(key.destination, key.destination_port, ingress) : std::nullopt;
  const auto service = tables.services.find(key.destination, key.destination_port, key.protocol);
  if (listener && (!service || listener->prefix_bits >= service->prefix_bits)) to.lane = Lane::local;
  else if (service) to.lane = Lane::forward;
  return to;
}

// Bursts are for few destinations: each is looked up once.
class Destinations {
 public:
  const Destination& find(const FlowKey& key, PortId ingress, const SteerTables& tables) {
    Destination& known = known_[key.destination_port % known_.size()];
    if (!known.is_of(key, ingress)) known = look_up(key, ingress, tables);
    return known;
  }

 private:
  std::array<Destination, 4> known_{};
};

// Steps 3 to 6 for a key as received. `hash` is the tuple's symmetric hash.
Decision steer_flow(const FlowKey& key, std::uint32_t hash, PortId ingress, bool handed_off, const SteerTables& tables,
                    Destinations& destinations) {
  const Destination& to = destinations.find(key, ingress, tables);
  std::uint16_t owner = owner_of_hash(hash, tables.workers);
  Lane lane = to.lane;
  if (to.is_spoken_from) {
    owner = owner_of_port(key.destination_port, tables.workers);
    // The kernel may have a server or a client on such a port: only what TCP knows is ours. (SNAT: the flow table
    // tells.)
    if (lane == Lane::local && tables.exception_port && tables.connections && (handed_off || owner == tables.self) &&
        !tables.connections->has(key))
      return unclaimed(key.destination, to.use, tables);
  } else if (tables.exceptions && !tables.exceptions->empty()) {
    owner = tables.exceptions->find(key).value_or(owner);
  }
  if (handed_off) owner = tables.self;
  if (lane == Lane::drop && key.protocol == Protocol::tcp && tables.connections) {
    // Only the owner knows its connections.
    if (owner != tables.self) return {Lane::other, owner, {}};
    if (tables.connections->has(key)) lane = Lane::local;
  }
  if (lane == Lane::drop) return unclaimed(key.destination, to.use, tables);
  return {owner == tables.self ? lane : Lane::other, owner, {}};
}

// Step 2. An error about a flow goes where the flow's packets go.
Decision steer_error(const Packet& packet, const SteerTables& tables) {
  const Decision host{Lane::host, tables.self, {}};
  const auto inner = icmp_inner(packet);
  if (!inner) return host;
  const FlowKey key = inner->key.reversed();
  const std::uint32_t hash =
      tuple_hash(key.source, key.source_port, key.destination, key.destination_port, key.protocol);
  Destinations destinations;
  const Decision flow = steer_flow(key, hash, packet.meta().port, packet.meta().handed_off, tables, destinations);
  if (flow.lane == Lane::forward || flow.lane == Lane::other || flow.lane == Lane::local) return flow;
  return host;
}

}  // namespace

SteerExceptions::SteerExceptions(std::uint32_t capacity) : bucket_count_(1) {
  while (bucket_count_ * bucket_slots / 2 < capacity) bucket_count_ *= 2;
  buckets_ = std::make_unique<Bucket[]>(bucket_count_);
}

std::uint64_t SteerExceptions::tag_of(const FlowKey& key) {
  const std::uint64_t both = FlowHash{}(key) + FlowHash{}(key.reversed());
  const std::uint64_t tag = both & ~std::uint64_t{0xff};
  return tag ? tag : 0x100;
}

bool SteerExceptions::insert(const FlowKey& key, std::uint16_t worker) {
  CHECK(worker < 256);
  const std::uint64_t tag = tag_of(key);
  for (auto& slot : bucket(tag).slots) {
    std::uint64_t found = slot.load(std::memory_order_relaxed);
    if ((found & ~std::uint64_t{0xff}) == tag &&
        slot.compare_exchange_strong(found, tag | worker, std::memory_order_release))
      return true;
  }
  for (auto& slot : bucket(tag).slots) {
    std::uint64_t free = 0;
    if (!slot.compare_exchange_strong(free, tag | worker, std::memory_order_release)) continue;
    count_.fetch_add(1, std::memory_order_release);
    return true;
  }
  return false;
}

void SteerExceptions::erase(const FlowKey& key) {
  const std::uint64_t tag = tag_of(key);
  for (auto& slot : bucket(tag).slots) {
    std::uint64_t found = slot.load(std::memory_order_relaxed);
    if ((found & ~std::uint64_t{0xff}) == tag && slot.compare_exchange_strong(found, 0, std::memory_order_release))
      count_.fetch_sub(1, std::memory_order_release);
  }
}

std::optional<std::uint16_t> SteerExceptions::find(const FlowKey& key) const {
  const std::uint64_t tag = tag_of(key);
  for (const auto& slot : bucket(tag).slots) {
    const std::uint64_t found = slot.load(std::memory_order_acquire);
    if ((found & ~std::uint64_t{0xff}) == tag) return static_cast<std::uint16_t>(found & 0xff);
  }
  return std::nullopt;
}

namespace {

Decision decide(const Packet& packet, const SteerTables& tables, Destinations& destinations) {
  const Meta& meta = packet.meta();
  if (meta.l3 == L3::arp) return {Lane::host, tables.self, {}};
  if (meta.l3 == L3::none) {
    if (tables.exception_port) return {Lane::exception, tables.self, {}};
    return dropped(Counter::drop_unknown_protocol);
  }
  const bool ports = meta.protocol == Protocol::tcp || meta.protocol == Protocol::udp;
  if (ports && meta.fragment) return dropped(Counter::drop_fragment);
  const FlowKey key = flow_key(packet);
  if (ports) return steer_flow(key, meta.hash, meta.port, meta.handed_off, tables, destinations);
  if (!meta.fragment && (meta.protocol == Protocol::icmp || meta.protocol == Protocol::icmp6))
    return is_icmp_error(packet) ? steer_error(packet, tables) : Decision{Lane::host, tables.self, {}};
  return unclaimed(key.destination, tables.addresses.find(key.destination, 0), tables);
}

}  // namespace

Decision steer_one(const Packet& packet, const SteerTables& tables) {
  Destinations none;
  return decide(packet, tables, none);
}

void steer(std::span<Packet> burst, const SteerTables& tables, Lanes& lanes, Counters& counters) {
  DCHECK(burst.size() <= steer_burst_max);
  Destinations destinations;
  Decision decision{};
  bool any = false;  // a packet before this one, which it may continue
  for (Packet& packet : burst) {
    Meta& meta = packet.meta();
    if (!meta.continues || !any) decision = decide(packet, tables, destinations);
    any = true;
    meta.owner = decision.owner;
    switch (decision.lane) {
      case Lane::drop: drop(std::move(packet), decision.reason, counters); break;
      case Lane::other:
        meta.continues = false;  // what it continues may be lost on the way
        lanes.other.push(std::move(packet));
        break;
      case Lane::host: lanes.host.push(std::move(packet)); break;
      case Lane::forward: lanes.forward.push(std::move(packet)); break;
      case Lane::local: lanes.local.push(std::move(packet)); break;
      case Lane::exception: lanes.exception.push(std::move(packet)); break;
    }
  }
}

}  // namespace sluice
