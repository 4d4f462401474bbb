// icmp6.h - ICMPv6 (RFC 4443) and the two messages of Neighbour Discovery (RFC 4861) that static routing needs.
#pragma once

#include "dataplane/base/address.h"
#include "dataplane/base/endian.h"

namespace sluice::wire {

struct Icmp6 {
  std::uint8_t type;
  std::uint8_t code;
  Be16 checksum;
  Be32 body;  // MTU in "packet too big"; id and sequence in echo

  static constexpr std::uint8_t unreachable = 1, too_big = 2, time_exceeded = 3, echo_request = 128, echo_reply = 129,
                                solicitation = 135, advertisement = 136;
  static constexpr std::uint8_t code_address = 3, code_port = 4;
  bool is_error() const { return type < 128; }
};
static_assert(sizeof(Icmp6) == 8 && alignof(Icmp6) == 1);

// Neighbour solicitation and advertisement; options lie behind.
struct Neighbour6 {
  std::uint8_t type;
  std::uint8_t code;
  Be16 checksum;
  Be32 flags;  // advertisements only
  std::array<std::uint8_t, 16> target;

  static constexpr std::uint32_t router = 0x80000000, solicited = 0x40000000, override = 0x20000000;
  IpAddress target_address() const { return IpAddress::from_v6_wire(target.data()); }
};
static_assert(sizeof(Neighbour6) == 24 && alignof(Neighbour6) == 1);

// Source (1) or target (2) link-layer address.
struct LinkLayerOption {
  std::uint8_t type;
  std::uint8_t length;  // in units of 8 bytes
  MacAddress mac;

  static constexpr std::uint8_t source = 1, target = 2;
};
static_assert(sizeof(LinkLayerOption) == 8);

}  // namespace sluice::wire

// Tested in tests/unit/dataplane/net/host_test.cc.
