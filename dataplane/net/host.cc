#include "dataplane/net/host.h"

#include <algorithm>
#include <utility>

#include "dataplane/base/hash.h"
#include "dataplane/packet/emit.h"
#include "dataplane/packet/wire/arp.h"
#include "dataplane/packet/wire/icmp.h"
#include "dataplane/packet/wire/icmp6.h"

namespace sluice {

namespace {

constexpr Nanos sweep_interval{1'000'000};
constexpr Nanos round_interval{1'000'000'000};
constexpr std::size_t requests_per_sweep = 32;
constexpr std::size_t announcements_per_sweep = 16;
constexpr std::uint8_t announcement_rounds = 2;  // RFC 5227 ANNOUNCE_NUM; RFC 4861 allows 3

const AddressSet no_services;

bool starts_with_ip4(const Packet& packet) { return packet.bytes()[0] >> 4 == 4; }

// A number for a list of prefixes; 0: none.
std::uint64_t mark_of(std::span<const Prefix> prefixes) {
  std::uint64_t mark = prefixes.size();
  for (const Prefix& prefix : prefixes) mark = mark * 0x9e3779b97f4a7c15 + end_hash(prefix.address, prefix.length);
  return mark;
}

IpAddress destination_of(const Packet& packet) {
  return starts_with_ip4(packet) ? packet.at<wire::Ip4>(0).destination_address()
                                 : packet.at<wire::Ip6>(0).destination_address();
}

}  // namespace

Host::Host(const Routes& routes, std::span<TxQueue* const> queues, Buffers& buffers, Counters& counters,
           const HostLimits& limits)
    : routes_(&routes),
      services_(&no_services),
      queues_(queues),
      buffers_(buffers),
      counters_(counters),
      limits_(limits),
      neighbours_(limits.neighbours, counters),
      errors_(limits.icmp_errors_per_second, limits.icmp_errors_burst),
      echoes_(limits.icmp_echoes_per_second, limits.icmp_echoes_burst) {}

Host::~Host() = default;

NextHop Host::route(const IpAddress& destination) const { return way(routes_->find(destination)); }

NextHop Host::way(const Routes::Hop& found) const {
  if (found.interface == no_interface) return {};
  const Interface& interface = routes_->interfaces()[found.interface];
  return {version_, found.interface, std::min(interface.mtu, queues_[interface.port]->caps().mtu), {}};
}

const PortCaps& Host::caps(const NextHop& hop) const { return queues_[port(hop)]->caps(); }

IpAddress Host::source(const NextHop& hop, const IpAddress& destination) const {
  const Routes::Hop found = routes_->find(destination);
  return routes_->source(hop.interface, found.gateway == IpAddress{} ? destination : found.gateway);
}

void Host::send(Packet packet, NextHop& hop, Nanos now) {
  Neighbours::Neighbour* neighbour = hop.version == version_ ? neighbours_.find(hop.neighbour) : nullptr;
  if (!neighbour) [[unlikely]] {
    neighbour = resolve(destination_of(packet), hop, now);
    if (!neighbour)
      return drop(std::move(packet), hop ? Counter::drop_neighbour_limit : Counter::drop_no_route, counters_);
  }
  if (neighbours_.used(*neighbour, now)) [[unlikely]]
    send_request(neighbours_.solicit(*neighbour), now);
  if (!neighbour->usable()) [[unlikely]]
    return neighbours_.wait(*neighbour, std::move(packet));
  const auto type = starts_with_ip4(packet) ? wire::EtherType::ip4 : wire::EtherType::ip6;
  transmit(std::move(packet), neighbour->mac, neighbour->interface, type, now);
}

Neighbours::Neighbour* Host::resolve(const IpAddress& destination, NextHop& hop, Nanos now) {
  const Routes::Hop found = routes_->find(destination);
  hop = way(found);
  if (!hop) return nullptr;
  Neighbours::Neighbour* neighbour =
      neighbours_.find_or_make(hop.interface, found.gateway == IpAddress{} ? destination : found.gateway, now);
  if (neighbour) hop.neighbour = neighbours_.id(*neighbour);
  return neighbour;
}

void Host::confirm(const NextHop& hop, Nanos now) {
  if (hop.version != version_) return;
  if (Neighbours::Neighbour* neighbour = neighbours_.find(hop.neighbour)) neighbours_.confirm(*neighbour, now);
}

void Host::transmit(Packet packet, const MacAddress& destination, InterfaceId interface, wire::EtherType type,
                    Nanos now) {
  const Interface& out = routes_->interfaces()[interface];
  prepend_ethernet(packet, destination, out.mac, out.vlan, type);
  queues_[out.port]->push(std::move(packet), now);
}

std::optional<Counter> Host::not_ours(const Packet& packet) const {
  const InterfaceId interface = routes_->on(packet.meta().port, packet.meta().vlan);
  if (interface == no_interface) return Counter::drop_no_interface;
  const MacAddress& destination = packet.at<wire::Ethernet>(0).destination;
  if (destination.is_multicast() || routes_->interfaces()[interface].mac == destination) return std::nullopt;
  return Counter::drop_not_addressed;
}

void Host::input(Packet packet, Nanos now) {
  const Meta& meta = packet.meta();
  const InterfaceId interface = routes_->on(meta.port, meta.vlan);
  if (interface == no_interface) return drop(std::move(packet), Counter::drop_no_interface, counters_);
  if (meta.l3 == L3::arp) return input_arp(std::move(packet), interface, now);
  if (!meta.fragment && meta.protocol == Protocol::icmp &&
      packet.at<wire::Icmp>(meta.l4_offset).type == wire::Icmp::echo_request)
    return input_echo(std::move(packet), interface, now);
  if (!meta.fragment && meta.protocol == Protocol::icmp6) {
    const std::uint8_t type = packet.at<wire::Icmp6>(meta.l4_offset).type;
    if (type == wire::Icmp6::echo_request) return input_echo(std::move(packet), interface, now);
    if (type == wire::Icmp6::solicitation || type == wire::Icmp6::advertisement)
      return input_neighbour6(std::move(packet), interface, now);
  }
  to_exception(std::move(packet), now);
}

void Host::to_exception(Packet packet, Nanos now) {
  const InterfaceId interface = routes_->on(packet.meta().port, packet.meta().vlan);
  const PortId port = interface == no_interface ? no_port : routes_->interfaces()[interface].exception_port;
  if (port == no_port) return drop(std::move(packet), Counter::drop_no_exception_port, counters_);
  counters_.add(Counter::exception_to_kernel);
  strip(packet, 0);
  queues_[port]->push(std::move(packet), now);
}

void Host::from_exception(Packet packet, Nanos now) {
  const InterfaceId interface = routes_->behind(packet.meta().port);
  if (interface == no_interface) return drop(std::move(packet), Counter::drop_no_interface, counters_);
  counters_.add(Counter::exception_from_kernel);
  strip(packet, 0);
  queues_[routes_->interfaces()[interface].port]->push(std::move(packet), now);
}

// We have learnt from it what we wanted; the kernel, if there is one, does the same.
void Host::pass_on(Packet packet, InterfaceId interface, Nanos now) {
  if (routes_->interfaces()[interface].exception_port != no_port) to_exception(std::move(packet), now);
}

bool Host::on_link(InterfaceId interface, const IpAddress& address) const {
  const Routes::Hop hop = routes_->find(address);
  return hop.interface == interface && hop.gateway == IpAddress{};
}

void Host::evidence(const NeighbourNews& news, Nanos now) {
  learn(news, now);
  if (news_count_ < news_max) news_[news_count_++] = news;
  else counters_.add(Counter::neighbour_news_lost);
}

void Host::learn(const NeighbourNews& news, Nanos now) {
  Neighbours::Neighbour* neighbour = neighbours_.apply(news, now);
  if (!neighbour || !neighbour->usable()) return;
  while (Packet waiting = neighbours_.take_waiting(*neighbour)) {
    const auto type = starts_with_ip4(waiting) ? wire::EtherType::ip4 : wire::EtherType::ip6;
    transmit(std::move(waiting), neighbour->mac, neighbour->interface, type, now);
  }
}

std::span<const NeighbourNews> Host::take_news() { return {news_.data(), std::exchange(news_count_, 0)}; }

void Host::send_request(const Neighbours::Solicit& solicit, Nanos now) {
  if (solicit.address.is_v6()) return send_solicitation(solicit, now);
  send_arp(solicit.interface, wire::Arp::request, routes_->source(solicit.interface, solicit.address), MacAddress{},
           solicit.address, solicit.unicast ? solicit.mac : MacAddress::broadcast(), now);
}

void Host::tick(Nanos now) {
  if (now < next_sweep_) return;
  next_sweep_ = now + sweep_interval;
  if (!std::exchange(gateways_pinned_, true))
    for (const Routes::Hop& gateway : routes_->gateways()) neighbours_.pin(gateway.interface, gateway.gateway, now);
  std::array<Neighbours::Solicit, requests_per_sweep> requests;
  const std::size_t count = neighbours_.due(requests, now);
  for (const Neighbours::Solicit& request : std::span{requests}.first(count)) send_request(request, now);
  if (rounds_left_ > 0) announce_some(now);
}

void Host::announce() {
  if (!limits_.announces) return;
  rounds_left_ = announcement_rounds;
  announced_ = 0;
  next_round_ = {};
}

void Host::announce_some(Nanos now) {
  if (now < next_round_) return;
  const auto own = routes_->own();
  const auto services = services_->prefixes();
  const std::size_t end = std::min(announced_ + announcements_per_sweep, own.size() + services.size());
  for (; announced_ < end; ++announced_) {
    if (announced_ < own.size()) {
      announce_one(own[announced_].interface, own[announced_].address, now);
      continue;
    }
    // A single address of a service, where it lies on a link of ours; others come to us by routing.
    const Prefix& prefix = services[announced_ - own.size()];
    const Routes::Hop hop = routes_->find(prefix.address);
    const bool single = prefix.length == (prefix.address.is_v4() ? 32 : 128);
    if (single && hop.interface != no_interface && hop.gateway == IpAddress{})
      announce_one(hop.interface, prefix.address, now);
  }
  if (announced_ < own.size() + services.size()) return;
  --rounds_left_;
  announced_ = 0;
  next_round_ = now + round_interval;
}

void Host::announce_one(InterfaceId interface, const IpAddress& address, Nanos now) {
  if (address.is_v4()) {
    // RFC 5227 2.3: a request of the address by itself.
    return send_arp(interface, wire::Arp::request, address, MacAddress{}, address, MacAddress::broadcast(), now);
  }
  constexpr MacAddress all_nodes{{0x33, 0x33, 0, 0, 0, 1}};
  send_advertisement(interface, address, IpAddress{}, all_nodes, false, now);
}

void Host::set_services(const AddressSet* services) {
  services_ = services ? services : &no_services;
  // By a mark, since those of before may be gone: the worker has passed a quiescent state.
  const std::uint64_t mark = mark_of(services_->prefixes());
  if (std::exchange(services_mark_, mark) != mark) announce();
}

void Host::set_routes(const Routes& routes) {
  routes_ = &routes;
  neighbours_.clear();
  gateways_pinned_ = false;
  if (++version_ == 0) version_ = 1;
  announce();
}

}  // namespace sluice
