// arp.cc - the host's ARP: RFC 826, and RFC 5227 for announcements and conflicts.
#include "dataplane/packet/wire/arp.h"
#include "dataplane/net/host.h"
#include "dataplane/packet/emit.h"

namespace sluice {

void Host::input_arp(Packet packet, InterfaceId interface, Nanos now) {
  const wire::Arp arp = packet.at<wire::Arp>(packet.meta().l3_offset);
  if (!arp.is_ethernet_ip4()) return pass_on(std::move(packet), interface, now);
  const IpAddress sender = IpAddress::from_v4(arp.sender.get()), target = IpAddress::from_v4(arp.target.get());
  const bool request = arp.operation.get() == wire::Arp::request, ours = owns(target);
  const bool speaks_for_us = owns(sender);
  if (speaks_for_us) counters_.add(Counter::address_conflicts);
  // A sender of 0.0.0.0 asks without saying who it is (RFC 5227 2.1.1).
  if (!speaks_for_us && !sender.is_unspecified() && !sender.is_multicast() && !arp.sender_mac.is_multicast()) {
    NeighbourNews news{.address = sender, .mac = arp.sender_mac, .interface = interface};
    if (request && ours && on_link(interface, sender)) news.kind = NeighbourNews::Kind::request;
    if (!request && ours && arp.target_mac == routes_->interfaces()[interface].mac)
      news.kind = NeighbourNews::Kind::reply;
    evidence(news, now);
  }
  if (!request || !ours) return pass_on(std::move(packet), interface, now);
  send_arp(interface, wire::Arp::reply, target, arp.sender_mac, sender, arp.sender_mac, now);
}

void Host::send_arp(InterfaceId interface, std::uint16_t operation, const IpAddress& sender,
                    const MacAddress& target_mac, const IpAddress& target, const MacAddress& destination, Nanos now) {
  Packet packet = buffers_.make();
  if (!packet) return counters_.add(Counter::drop_no_buffer);
  packet.get()->data_len = sizeof(wire::Arp);
  packet.get()->pkt_len = sizeof(wire::Arp);
  packet.at<wire::Arp>(0) = {.hardware_type = Be16{1},
                             .protocol_type = Be16{static_cast<std::uint16_t>(wire::EtherType::ip4)},
                             .hardware_size = 6,
                             .protocol_size = 4,
                             .operation = Be16{operation},
                             .sender_mac = routes_->interfaces()[interface].mac,
                             .sender = Be32{sender.v4()},
                             .target_mac = target_mac,
                             .target = Be32{target.v4()}};
  if (operation == wire::Arp::request) counters_.add(Counter::arp_requests_sent);
  transmit(std::move(packet), destination, interface, wire::EtherType::arp, now);
}

}  // namespace sluice

// Tested in tests/unit/dataplane/net/host_test.cc.
