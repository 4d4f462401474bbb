// icmp.cc - the host's ICMP and ICMPv6: echo (RFC 792, RFC 4443 4) and errors (RFC 1122 3.2.2, RFC 4443 2.4).
#include <algorithm>

#include "dataplane/net/host.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/emit.h"
#include "dataplane/packet/wire/icmp.h"
#include "dataplane/packet/wire/icmp6.h"

namespace sluice {

namespace {

struct Ends {
  IpAddress source, destination;
};

Ends ends(const Packet& packet) {
  const std::uint16_t at = packet.meta().l3_offset;
  if (packet.meta().l3 == L3::ip4) {
    const auto& ip = packet.at<wire::Ip4>(at);
    return {ip.source_address(), ip.destination_address()};
  }
  const auto& ip = packet.at<wire::Ip6>(at);
  return {ip.source_address(), ip.destination_address()};
}

// Whether a station may be answered that calls itself this.
bool answerable(const IpAddress& source) {
  constexpr std::uint32_t reserved = 240u << 24, loopback = 127;  // 240.0.0.0/4 has the broadcast address in it
  if (source.is_unspecified() || source.is_multicast()) return false;
  return source.is_v6() || (source.v4() < reserved && source.v4() >> 24 != loopback);
}

// The most that an error may be (RFC 1812 4.3.2.3, RFC 4443 2.4 c), headers included.
constexpr std::uint32_t error_max_v4 = 576, error_max_v6 = 1280;

wire::Icmp error_v4(IcmpError error, std::uint16_t mtu) {
  using I = wire::Icmp;
  switch (error) {
    case IcmpError::port_unreachable:
      return {.type = I::unreachable, .code = I::code_port, .checksum = {}, .id = {}, .sequence = {}};
    case IcmpError::host_unreachable:
      return {.type = I::unreachable, .code = I::code_host, .checksum = {}, .id = {}, .sequence = {}};
    case IcmpError::time_exceeded:
      return {.type = I::time_exceeded, .code = 0, .checksum = {}, .id = {}, .sequence = {}};
    case IcmpError::too_big: break;
  }
  return {
      .type = I::unreachable, .code = I::code_fragmentation_needed, .checksum = {}, .id = {}, .sequence = Be16{mtu}};
}

wire::Icmp6 error_v6(IcmpError error, std::uint16_t mtu) {
  using I = wire::Icmp6;
  switch (error) {
    case IcmpError::port_unreachable: return {.type = I::unreachable, .code = I::code_port, .checksum = {}, .body = {}};
    case IcmpError::host_unreachable:
      return {.type = I::unreachable, .code = I::code_address, .checksum = {}, .body = {}};
    case IcmpError::time_exceeded: return {.type = I::time_exceeded, .code = 0, .checksum = {}, .body = {}};
    case IcmpError::too_big: break;
  }
  return {.type = I::too_big, .code = 0, .checksum = {}, .body = Be32{mtu}};
}

bool is_icmp_error(const Packet& packet) {
  const Meta& meta = packet.meta();
  if (meta.later_fragment) return false;
  if (meta.protocol == Protocol::icmp) return packet.at<wire::Icmp>(meta.l4_offset).is_error();
  return meta.protocol == Protocol::icmp6 && packet.at<wire::Icmp6>(meta.l4_offset).is_error();
}

}  // namespace

void Host::input_echo(Packet packet, InterfaceId interface, Nanos now) {
  const Ends came = ends(packet);
  if (!owns(came.destination)) return to_exception(std::move(packet), now);
  if (!answerable(came.source) || owns(came.source))
    return drop(std::move(packet), Counter::drop_unanswerable, counters_);
  if (!echoes_.take(now)) return drop(std::move(packet), Counter::drop_icmp_rate, counters_);

  const bool v4 = packet.meta().l3 == L3::ip4;
  const MacAddress from = packet.at<wire::Ethernet>(0).source;
  strip(packet, packet.meta().l4_offset);  // with it options and extension headers
  packet.at<wire::Icmp>(0).type = v4 ? wire::Icmp::echo_reply : wire::Icmp6::echo_reply;
  prepend_icmp(packet, {.source = came.destination, .destination = came.source});
  counters_.add(Counter::icmp_echo_replies);
  // A link-local station is on the link that it spoke from.
  if (came.source.is_link_local()) return transmit(std::move(packet), from, interface, wire::EtherType::ip6, now);
  NextHop hop;
  send(std::move(packet), hop, now);
}

void Host::refuse(Packet packet, IcmpError error, std::uint16_t mtu, Nanos now) {
  const Meta& meta = packet.meta();
  if (meta.l3 != L3::ip4 && meta.l3 != L3::ip6) return drop(std::move(packet), Counter::drop_unanswerable, counters_);
  const Ends came = ends(packet);
  const bool v4 = meta.l3 == L3::ip4;
  const bool to_many = packet.at<wire::Ethernet>(0).destination.is_multicast() || came.destination.is_multicast();
  const bool forbidden = is_icmp_error(packet) || meta.later_fragment ||
                         (to_many && (v4 || error != IcmpError::too_big)) || !answerable(came.source) ||
                         owns(came.source);
  if (forbidden) return drop(std::move(packet), Counter::drop_unanswerable, counters_);
  NextHop hop = route(came.source);
  if (!hop) return drop(std::move(packet), Counter::drop_no_route, counters_);
  if (!errors_.take(now)) return drop(std::move(packet), Counter::drop_icmp_rate, counters_);

  Packet answer = buffers_.make();
  if (!answer) return drop(std::move(packet), Counter::drop_no_buffer, counters_);
  constexpr std::uint32_t header = sizeof(wire::Icmp);
  static_assert(sizeof(wire::Icmp) == sizeof(wire::Icmp6));
  const std::uint32_t room = v4 ? error_max_v4 - sizeof(wire::Ip4) - header : error_max_v6 - sizeof(wire::Ip6) - header;
  const std::uint32_t quoted = std::min(packet.size() - meta.l3_offset, room);
  answer.get()->data_len = static_cast<std::uint16_t>(header + quoted);
  answer.get()->pkt_len = header + quoted;
  if (v4) answer.at<wire::Icmp>(0) = error_v4(error, mtu);
  else answer.at<wire::Icmp6>(0) = error_v6(error, mtu);
  copy_payload(packet.get(), meta.l3_offset, answer.bytes().subspan(header), counters_);
  // A router's error comes from the interface it leaves by (RFC 1812 4.3.2.4), a host's from who was spoken to.
  const bool as_host = error != IcmpError::time_exceeded && owns(came.destination);
  const IpAddress speaker = as_host ? came.destination : source(hop, came.source);
  prepend_icmp(answer, {.source = speaker, .destination = came.source});
  counters_.add(Counter::icmp_errors_sent);
  send(std::move(answer), hop, now);
}

}  // namespace sluice

// Tested in tests/unit/dataplane/net/host_test.cc.
