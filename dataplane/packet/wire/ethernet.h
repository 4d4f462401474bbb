// ethernet.h - Ethernet II and one IEEE 802.1Q tag, as they stand on the wire. No 802.3 length frames, no stacked tags.
#pragma once

#include "dataplane/base/address.h"
#include "dataplane/base/endian.h"

namespace sluice::wire {

enum class EtherType : std::uint16_t { ip4 = 0x0800, arp = 0x0806, vlan = 0x8100, ip6 = 0x86dd };

struct Ethernet {
  MacAddress destination;
  MacAddress source;
  Be16 type;
};
static_assert(sizeof(Ethernet) == 14 && alignof(Ethernet) == 1);

// Follows an Ethernet header whose type is EtherType::vlan.
struct VlanTag {
  Be16 control;  // priority (3 bits), drop eligible (1), VLAN id (12)
  Be16 type;

  std::uint16_t id() const { return control.get() & 0x0fff; }
};
static_assert(sizeof(VlanTag) == 4);

inline constexpr std::uint16_t ethernet_min = sizeof(Ethernet);
inline constexpr std::uint16_t ethernet_max = sizeof(Ethernet) + sizeof(VlanTag);

}  // namespace sluice::wire

// Tested in tests/unit/dataplane/packet/parse_test.cc, tests/unit/dataplane/packet/emit_test.cc.
