// nd.cc - the host's Neighbour Discovery: RFC 4861 7.1 (validation), 7.2 (address resolution).
#include "dataplane/net/host.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/emit.h"
#include "dataplane/packet/wire/icmp6.h"

namespace sluice {

namespace {

constexpr std::uint8_t nd_hop_limit = 255;  // nobody off the link can make it so

struct Message {
  bool valid = false;
  bool with_mac = false;  // its link-layer address option is there
  MacAddress mac;         // that of the option, else the frame's source
  IpAddress source, destination, target;
  std::uint32_t flags = 0;
};

bool is_solicited_node(const IpAddress& address) {
  static constexpr std::uint8_t prefix[13] = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};
  return std::memcmp(address.bytes.data(), prefix, sizeof prefix) == 0;
}

IpAddress solicited_node(const IpAddress& address) {
  return {{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, address.bytes[13], address.bytes[14], address.bytes[15]}};
}

MacAddress multicast_mac(const IpAddress& group) {
  return {{0x33, 0x33, group.bytes[12], group.bytes[13], group.bytes[14], group.bytes[15]}};
}

constexpr IpAddress all_nodes{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

// RFC 4861 7.1.1 and 7.1.2, in their order; parse has verified the checksum.
Message read(const Packet& packet, std::uint8_t option_wanted) {
  const Meta& meta = packet.meta();
  const auto& ip = packet.at<wire::Ip6>(meta.l3_offset);
  const std::uint32_t size = packet.size() - meta.l4_offset;
  Message message;
  if (ip.hop_limit != nd_hop_limit || size < sizeof(wire::Neighbour6) || packet.size() > packet.bytes().size())
    return message;
  const auto& body = packet.at<wire::Neighbour6>(meta.l4_offset);
  message.mac = packet.at<wire::Ethernet>(0).source;
  message.source = ip.source_address();
  message.destination = ip.destination_address();
  message.target = body.target_address();
  message.flags = body.flags.get();
  if (body.code != 0 || message.target.is_multicast()) return message;
  Reader options{packet.bytes().subspan(meta.l4_offset + sizeof body)};
  while (options.left() > 0) {
    const std::uint8_t type = options.u8(), length = options.u8();
    const ByteView value = options.view(length * 8u - 2u);  // a length of 0 asks for far too much
    if (!options.ok()) return message;
    if (type != option_wanted || value.size() != sizeof(MacAddress)) continue;
    std::memcpy(message.mac.bytes.data(), value.data(), sizeof(MacAddress));
    message.with_mac = true;
  }
  const bool solicitation = body.type == wire::Icmp6::solicitation;
  if (solicitation && message.source.is_unspecified())
    message.valid = is_solicited_node(message.destination) && !message.with_mac;
  else
    message.valid =
        solicitation || !message.destination.is_multicast() || !(message.flags & wire::Neighbour6::solicited);
  message.valid = message.valid && !message.mac.is_multicast();
  return message;
}

Packet neighbour6(Buffers& buffers, const wire::Neighbour6& body, const wire::LinkLayerOption& option) {
  Packet packet = buffers.make();
  if (!packet) return packet;
  packet.get()->data_len = sizeof body + sizeof option;
  packet.get()->pkt_len = sizeof body + sizeof option;
  packet.at<wire::Neighbour6>(0) = body;
  packet.at<wire::LinkLayerOption>(sizeof body) = option;
  return packet;
}

}  // namespace

void Host::input_neighbour6(Packet packet, InterfaceId interface, Nanos now) {
  const bool solicitation = packet.at<wire::Icmp6>(packet.meta().l4_offset).type == wire::Icmp6::solicitation;
  const Message message = read(packet, solicitation ? wire::LinkLayerOption::source : wire::LinkLayerOption::target);
  if (!message.valid) return drop(std::move(packet), Counter::drop_nd_invalid, counters_);
  const bool ours = owns(message.target);

  if (!solicitation) {
    if (ours) {
      counters_.add(Counter::address_conflicts);
    } else {
      const bool solicited = message.flags & wire::Neighbour6::solicited;
      evidence({.address = message.target,
                .mac = message.mac,
                .interface = interface,
                .kind = solicited ? NeighbourNews::Kind::reply : NeighbourNews::Kind::announcement,
                .replaces = message.with_mac && (message.flags & wire::Neighbour6::override)},
               now);
    }
    return pass_on(std::move(packet), interface, now);
  }

  if (!ours) return pass_on(std::move(packet), interface, now);
  if (message.with_mac && !owns(message.source)) {
    const auto kind =
        on_link(interface, message.source) ? NeighbourNews::Kind::request : NeighbourNews::Kind::announcement;
    evidence({.address = message.source, .mac = message.mac, .interface = interface, .kind = kind}, now);
  }
  const bool nameless = message.source.is_unspecified();  // duplicate address detection: all must hear that it is ours
  send_advertisement(interface, message.target, nameless ? IpAddress{} : message.source,
                     nameless ? multicast_mac(all_nodes) : message.mac, !nameless, now);
}

void Host::send_solicitation(const Neighbours::Solicit& solicit, Nanos now) {
  const IpAddress group = solicited_node(solicit.address);
  const wire::Neighbour6 body{
      .type = wire::Icmp6::solicitation, .code = 0, .checksum = {}, .flags = {}, .target = solicit.address.bytes};
  const MacAddress mac = routes_->interfaces()[solicit.interface].mac;
  Packet packet = neighbour6(buffers_, body, {wire::LinkLayerOption::source, 1, mac});
  if (!packet) return counters_.add(Counter::drop_no_buffer);
  IpAddress source = routes_->source(solicit.interface, solicit.address);
  if (source == IpAddress{}) source = routes_->link_local(solicit.interface);
  prepend_icmp(packet,
               {.source = source, .destination = solicit.unicast ? solicit.address : group, .hop_limit = nd_hop_limit});
  counters_.add(Counter::nd_solicitations_sent);
  transmit(std::move(packet), solicit.unicast ? solicit.mac : multicast_mac(group), solicit.interface,
           wire::EtherType::ip6, now);
}

// To `to`, or to all nodes where that is unspecified.
void Host::send_advertisement(InterfaceId interface, const IpAddress& target, const IpAddress& to,
                              const MacAddress& destination, bool solicited, Nanos now) {
  const std::uint32_t flags =
      wire::Neighbour6::router | wire::Neighbour6::override | (solicited ? wire::Neighbour6::solicited : 0);
  const wire::Neighbour6 body{
      .type = wire::Icmp6::advertisement, .code = 0, .checksum = {}, .flags = Be32{flags}, .target = target.bytes};
  Packet packet = neighbour6(buffers_, body, {wire::LinkLayerOption::target, 1, routes_->interfaces()[interface].mac});
  if (!packet) return counters_.add(Counter::drop_no_buffer);
  prepend_icmp(packet,
               {.source = target, .destination = to == IpAddress{} ? all_nodes : to, .hop_limit = nd_hop_limit});
  transmit(std::move(packet), destination, interface, wire::EtherType::ip6, now);
}

}  // namespace sluice

// Tested in tests/unit/dataplane/net/host_test.cc.
