// emit.h - headers in front of bytes: TCP, UDP, ICMP, IP, Ethernet, with checksums left as requests to the transmit
// queue. Each function prepends to the packet's first segment, which must be ours alone and have the headroom (a fresh
// buffer of Buffers has it for all of them together). Payload may stand in the same segment or in segments linked
// behind. After the IP header the packet is what Host::send() takes: it starts at its IP header, and ol_flags, l3_len,
// l4_len and tso_segsz carry the requests, the pseudo-header sum standing in the checksum field (as rte_ipv4_phdr_cksum
// would have it).
#pragma once

#include "dataplane/packet/buffers.h"
#include "dataplane/packet/chain.h"
#include "dataplane/packet/wire/ethernet.h"
#include "dataplane/packet/wire/ip4.h"
#include "dataplane/packet/wire/ip6.h"
#include "dataplane/packet/wire/tcp.h"

namespace sluice {

struct IpFields {
  IpAddress source;  // same family as destination
  IpAddress destination;
  std::uint8_t hop_limit = 64;
  std::uint8_t traffic_class = 0;  // DSCP and ECN
};

struct TcpFields {
  std::uint16_t source = 0;
  std::uint16_t destination = 0;
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgement = 0;
  std::uint8_t flags = 0;
  std::uint16_t window = 0;
  std::uint16_t urgent = 0;
  ByteView options;  // a multiple of 4, at most 40 bytes
};

// Ethernet with a tag, IPv6 and TCP with all its options: what a fresh buffer's headroom must take.
inline constexpr std::uint16_t headers_max = wire::ethernet_max + sizeof(wire::Ip6) + 60;
static_assert(headers_max <= buffer_headroom);

// Links a chain of payload behind a packet (which it moves in), without touching its bytes.
void attach(Packet& packet, Chain payload);

// Takes the first `size` bytes (headers) off a received packet, and every flag and request, so that it can be given new
// ones.
void strip(Packet& packet, std::uint16_t size);

// Makes TCP, then IP, headers. segment_size > 0 asks for TSO with that MSS, if the payload is larger (only of ports
// that have it: NextHop tells). IPv4 goes out with DF and id 0 (RFC 6864: atomic).
void prepend_tcp(Packet& packet, const IpFields& ip, const TcpFields& tcp, std::uint16_t segment_size = 0);
void prepend_udp(Packet& packet, const IpFields& ip, std::uint16_t source_port, std::uint16_t destination_port);
// The packet begins with a whole ICMP or ICMPv6 message of one segment or more; its checksum is computed here.
void prepend_icmp(Packet& packet, const IpFields& ip);
// IP alone, in front of a finished transport message.
void prepend_ip(Packet& packet, const IpFields& ip, Protocol protocol);
void prepend_ethernet(Packet& packet, const MacAddress& destination, const MacAddress& source, std::uint16_t vlan,
                      wire::EtherType type);

}  // namespace sluice
