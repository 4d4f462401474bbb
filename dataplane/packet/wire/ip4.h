// ip4.h - the IPv4 header (RFC 791) without its options, which lie behind it.
#pragma once

#include "dataplane/base/address.h"
#include "dataplane/base/endian.h"

namespace sluice::wire {

struct Ip4 {
  std::uint8_t version_ihl;
  std::uint8_t traffic_class;
  Be16 total_length;
  Be16 id;
  Be16 fragment;  // flags (3 bits) and offset in units of 8 bytes
  std::uint8_t ttl;
  std::uint8_t protocol;
  Be16 checksum;
  Be32 source;
  Be32 destination;

  static constexpr std::uint16_t dont_fragment = 0x4000, more_fragments = 0x2000, offset_mask = 0x1fff;
  std::uint8_t version() const { return version_ihl >> 4; }
  std::uint16_t header_size() const { return static_cast<std::uint16_t>((version_ihl & 15) * 4); }
  bool is_fragment() const { return fragment.get() & (more_fragments | offset_mask); }
  IpAddress source_address() const { return IpAddress::from_v4(source.get()); }
  IpAddress destination_address() const { return IpAddress::from_v4(destination.get()); }
};
static_assert(sizeof(Ip4) == 20 && alignof(Ip4) == 1);

}  // namespace sluice::wire

// Tested in tests/unit/dataplane/packet/parse_test.cc, tests/unit/dataplane/packet/emit_test.cc.
