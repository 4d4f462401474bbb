#include "dataplane/packet/emit.h"

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/wire/icmp.h"
#include "dataplane/packet/wire/udp.h"

namespace sluice {

namespace {

std::uint8_t* prepend(Packet& packet, std::size_t size) {
  rte_mbuf* mbuf = packet.get();
  DCHECK(sole_owner(mbuf));
  CHECK(rte_pktmbuf_headroom(mbuf) >= size);
  mbuf->data_off -= static_cast<std::uint16_t>(size);
  mbuf->data_len += static_cast<std::uint16_t>(size);
  mbuf->pkt_len += static_cast<std::uint32_t>(size);
  return packet.data();
}

Be16 pseudo(const IpFields& ip, Protocol protocol, std::uint32_t size) {
  return folded(add_pseudo_header(0, ip.source, ip.destination, protocol, size));
}

std::uint16_t ip_header_size(const IpFields& ip) { return ip.source.is_v4() ? sizeof(wire::Ip4) : sizeof(wire::Ip6); }

// An IP header in front of a finished transport message of `size` bytes, and what is asked for it.
void write_ip(std::uint8_t* at, rte_mbuf* mbuf, const IpFields& ip, Protocol protocol, std::uint32_t size) {
  DCHECK(size + sizeof(wire::Ip4) <= 0xffff && ip.source.is_v4() == ip.destination.is_v4());
  const auto number = static_cast<std::uint8_t>(protocol);
  if (ip.source.is_v4()) {
    *reinterpret_cast<wire::Ip4*>(at) = {.version_ihl = 0x45,
                                         .traffic_class = ip.traffic_class,
                                         .total_length = Be16{static_cast<std::uint16_t>(size + sizeof(wire::Ip4))},
                                         .id = Be16{},
                                         .fragment = Be16{wire::Ip4::dont_fragment},
                                         .ttl = ip.hop_limit,
                                         .protocol = number,
                                         .checksum = Be16{},
                                         .source = Be32{ip.source.v4()},
                                         .destination = Be32{ip.destination.v4()}};
    mbuf->l3_len = sizeof(wire::Ip4);
    mbuf->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
  } else {
    *reinterpret_cast<wire::Ip6*>(at) = {.version_class_flow = Be32{6u << 28 | std::uint32_t{ip.traffic_class} << 20},
                                         .payload_length = Be16{static_cast<std::uint16_t>(size)},
                                         .next_header = number,
                                         .hop_limit = ip.hop_limit,
                                         .source = ip.source.bytes,
                                         .destination = ip.destination.bytes};
    mbuf->l3_len = sizeof(wire::Ip6);
    mbuf->ol_flags |= RTE_MBUF_F_TX_IPV6;
  }
}

}  // namespace

void attach(Packet& packet, Chain payload) {
  rte_mbuf* mbuf = packet.get();
  const std::uint32_t segments = mbuf->nb_segs + payload.segments();
  CHECK(segments <= RTE_MBUF_MAX_NB_SEGS);
  mbuf->nb_segs = static_cast<std::uint16_t>(segments);
  mbuf->pkt_len += payload.size();
  rte_pktmbuf_lastseg(mbuf)->next = payload.release();
}

void strip(Packet& packet, std::uint16_t size) {
  rte_mbuf* mbuf = packet.get();
  CHECK(size <= mbuf->data_len);
  mbuf->data_off += size;
  mbuf->data_len -= size;
  mbuf->pkt_len -= size;
  mbuf->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
  mbuf->tx_offload = 0;
}

void prepend_tcp(Packet& packet, const IpFields& ip, const TcpFields& tcp, std::uint16_t segment_size) {
  DCHECK(tcp.options.size() % 4 == 0 && tcp.options.size() <= 40);
  const std::size_t header_size = sizeof(wire::Tcp) + tcp.options.size();
  const std::uint16_t ip_size = ip_header_size(ip);
  rte_mbuf* mbuf = packet.get();
  const bool cut = segment_size > 0 && mbuf->pkt_len > segment_size;
  const auto size = static_cast<std::uint32_t>(mbuf->pkt_len + header_size);
  std::uint8_t* at = prepend(packet, ip_size + header_size);
  write_ip(at, mbuf, ip, Protocol::tcp, size);
  *reinterpret_cast<wire::Tcp*>(at + ip_size) = {.source = Be16{tcp.source},
                                                 .destination = Be16{tcp.destination},
                                                 .sequence = Be32{tcp.sequence},
                                                 .acknowledgement = Be32{tcp.acknowledgement},
                                                 .offset = static_cast<std::uint8_t>(header_size / 4 << 4),
                                                 .flags = tcp.flags,
                                                 .window = Be16{tcp.window},
                                                 .checksum = pseudo(ip, Protocol::tcp, cut ? 0 : size),
                                                 .urgent = Be16{tcp.urgent}};
  std::uint8_t* options = at + ip_size + sizeof(wire::Tcp);
  if (tcp.options.size() == 12) std::memcpy(options, tcp.options.data(), 12);  // timestamps alone: two stores
  else if (!tcp.options.empty()) std::memcpy(options, tcp.options.data(), tcp.options.size());
  mbuf->l4_len = header_size;
  mbuf->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
  if (cut) {
    mbuf->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
    mbuf->tso_segsz = segment_size;
  }
}

void prepend_udp(Packet& packet, const IpFields& ip, std::uint16_t source_port, std::uint16_t destination_port) {
  auto& header = *reinterpret_cast<wire::Udp*>(prepend(packet, sizeof(wire::Udp)));
  rte_mbuf* mbuf = packet.get();
  header = {.source = Be16{source_port},
            .destination = Be16{destination_port},
            .length = Be16{static_cast<std::uint16_t>(mbuf->pkt_len)},
            .checksum = pseudo(ip, Protocol::udp, mbuf->pkt_len)};
  mbuf->l4_len = sizeof header;
  mbuf->ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM;
  prepend_ip(packet, ip, Protocol::udp);
}

void prepend_icmp(Packet& packet, const IpFields& ip) {
  const bool v4 = ip.source.is_v4();
  const Protocol protocol = v4 ? Protocol::icmp : Protocol::icmp6;
  const std::uint32_t size = packet.size();
  auto& header = packet.at<wire::Icmp>(0);
  header.checksum = Be16{};
  // ICMPv6 alone has a pseudo header.
  const Sum start = v4 ? 0 : add_pseudo_header(0, ip.source, ip.destination, protocol, size);
  header.checksum = checksum(add_segments(start, packet.get(), 0, size));
  packet.get()->l4_len = sizeof header;
  prepend_ip(packet, ip, protocol);
}

void prepend_ip(Packet& packet, const IpFields& ip, Protocol protocol) {
  const std::uint32_t size = packet.size();
  write_ip(prepend(packet, ip_header_size(ip)), packet.get(), ip, protocol, size);
}

void prepend_ethernet(Packet& packet, const MacAddress& destination, const MacAddress& source, std::uint16_t vlan,
                      wire::EtherType type) {
  const std::uint16_t size = vlan ? wire::ethernet_max : wire::ethernet_min;
  auto& header = *reinterpret_cast<wire::Ethernet*>(prepend(packet, size));
  header = {.destination = destination, .source = source, .type = Be16{static_cast<std::uint16_t>(type)}};
  if (vlan) {
    auto& tag = *reinterpret_cast<wire::VlanTag*>(&header + 1);
    tag = {.control = Be16{vlan}, .type = header.type};
    header.type = Be16{static_cast<std::uint16_t>(wire::EtherType::vlan)};
  }
  packet.get()->l2_len = size;
}

}  // namespace sluice
