#include "l4/icmp_inner.h"

#include "dataplane/packet/wire/icmp.h"
#include "dataplane/packet/wire/icmp6.h"

namespace sluice {

namespace {

constexpr std::size_t error_header = 8;  // type, code, checksum, four bytes by type: the same size in both families
constexpr std::size_t quoted_least = 8;  // RFC 792: at least 64 bits of the quoted packet's data

bool has_ports(std::uint8_t protocol) {
  return protocol == static_cast<std::uint8_t>(Protocol::tcp) || protocol == static_cast<std::uint8_t>(Protocol::udp);
}

std::optional<IcmpInner> with_ports(const Packet& packet, const IpAddress& source, const IpAddress& destination,
                                    std::uint8_t protocol, std::uint16_t l3, std::uint16_t l4) {
  const std::size_t end = packet.bytes().size();
  if (!has_ports(protocol) || l4 + quoted_least > end) return std::nullopt;
  const FlowKey key{source,
                    destination,
                    packet.at<Be16>(l4).get(),
                    packet.at<Be16>(static_cast<std::uint16_t>(l4 + 2)).get(),
                    static_cast<Protocol>(protocol),
                    0,
                    0};
  return IcmpInner{key, l3, l4, static_cast<std::uint16_t>(end - l4)};
}

}  // namespace

bool is_icmp_error(const Packet& packet) {
  const Meta& meta = packet.meta();
  if (meta.fragment || meta.l4_offset + error_header > packet.bytes().size()) return false;
  if (meta.protocol == Protocol::icmp && meta.l3 == L3::ip4) return packet.at<wire::Icmp>(meta.l4_offset).is_error();
  if (meta.protocol == Protocol::icmp6 && meta.l3 == L3::ip6) return packet.at<wire::Icmp6>(meta.l4_offset).is_error();
  return false;
}

std::optional<IcmpInner> icmp_inner(const Packet& packet) {
  if (!is_icmp_error(packet)) return std::nullopt;
  const Meta& meta = packet.meta();
  const std::size_t end = packet.bytes().size();
  const auto l3 = static_cast<std::uint16_t>(meta.l4_offset + error_header);
  if (meta.l3 == L3::ip4) {
    if (l3 + sizeof(wire::Ip4) > end) return std::nullopt;
    const auto& ip = packet.at<wire::Ip4>(l3);
    const std::uint16_t size = ip.header_size();
    if (ip.version() != 4 || size < sizeof(wire::Ip4) || (ip.fragment.get() & wire::Ip4::offset_mask))
      return std::nullopt;
    return with_ports(packet, ip.source_address(), ip.destination_address(), ip.protocol, l3,
                      static_cast<std::uint16_t>(l3 + size));
  }
  if (l3 + sizeof(wire::Ip6) > end) return std::nullopt;
  const auto& ip = packet.at<wire::Ip6>(l3);
  if (ip.version() != 6) return std::nullopt;
  return with_ports(packet, ip.source_address(), ip.destination_address(), ip.next_header, l3,
                    static_cast<std::uint16_t>(l3 + sizeof(wire::Ip6)));
}

}  // namespace sluice
