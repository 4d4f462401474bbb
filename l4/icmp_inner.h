// icmp_inner.h - the packet that an ICMP error speaks about (RFC 792, RFC 4443): enough of it to find its flow.
// Reads what the error quotes and believes nothing beyond its end. Quoted later fragments and IPv6 extension headers
// have no ports to find a flow by and give nothing.
#pragma once

#include <optional>

#include "l4/flow_key.h"

namespace sluice {

struct IcmpInner {
  FlowKey key;  // of the quoted packet, which we sent: reversed(), it is the key of what we receive on that flow
  std::uint16_t l3_offset, l4_offset;  // of the quoted headers, from the start of the frame
  std::uint16_t size;                  // bytes of the first segment from l4_offset on, at least 8
};

// Whether a parsed packet is an ICMP or ICMPv6 error.
bool is_icmp_error(const Packet& packet);
// What it quotes; nothing when it is no error or quotes no TCP or UDP header.
std::optional<IcmpInner> icmp_inner(const Packet& packet);

}  // namespace sluice
