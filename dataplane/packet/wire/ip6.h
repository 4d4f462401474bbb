// ip6.h - the IPv6 header and its extension headers (RFC 8200).
#pragma once

#include "dataplane/base/address.h"
#include "dataplane/base/endian.h"

namespace sluice::wire {

struct Ip6 {
  Be32 version_class_flow;
  Be16 payload_length;
  std::uint8_t next_header;
  std::uint8_t hop_limit;
  std::array<std::uint8_t, 16> source;
  std::array<std::uint8_t, 16> destination;

  std::uint8_t version() const { return static_cast<std::uint8_t>(version_class_flow.get() >> 28); }
  std::uint8_t traffic_class() const { return static_cast<std::uint8_t>(version_class_flow.get() >> 20); }
  IpAddress source_address() const { return IpAddress::from_v6_wire(source.data()); }
  IpAddress destination_address() const { return IpAddress::from_v6_wire(destination.data()); }
};
static_assert(sizeof(Ip6) == 40 && alignof(Ip6) == 1);

// Next-header values of the extension headers that are walked.
enum class Ip6Extension : std::uint8_t {
  hop_by_hop = 0,
  routing = 43,
  fragment = 44,
  none = 59,
  destination_options = 60
};

// How hop-by-hop, routing and destination options begin.
struct Ip6Options {
  std::uint8_t next_header;
  std::uint8_t length;  // in units of 8 bytes, the first 8 not counted
  std::uint16_t size() const { return static_cast<std::uint16_t>((length + 1) * 8); }
};
static_assert(sizeof(Ip6Options) == 2);

struct Ip6Routing {
  Ip6Options options;
  std::uint8_t type;
  std::uint8_t segments_left;
};
static_assert(sizeof(Ip6Routing) == 4);

struct Ip6Fragment {
  std::uint8_t next_header;
  std::uint8_t reserved;
  Be16 offset_flags;  // offset in units of 8 bytes (13 bits), reserved (2), more fragments (1)
  Be32 id;

  bool more() const { return offset_flags.get() & 1; }
  std::uint16_t offset() const { return offset_flags.get() & 0xfff8; }
};
static_assert(sizeof(Ip6Fragment) == 8 && alignof(Ip6Fragment) == 1);

}  // namespace sluice::wire

// Tested in tests/unit/dataplane/packet/parse_test.cc, tests/unit/dataplane/packet/emit_test.cc.
