// arp.h - ARP (RFC 826) for IPv4 over Ethernet, the only kind there is here.
#pragma once

#include "dataplane/packet/wire/ethernet.h"

namespace sluice::wire {

struct Arp {
  Be16 hardware_type;  // 1: Ethernet
  Be16 protocol_type;  // EtherType::ip4
  std::uint8_t hardware_size;
  std::uint8_t protocol_size;
  Be16 operation;
  MacAddress sender_mac;
  Be32 sender;
  MacAddress target_mac;
  Be32 target;

  static constexpr std::uint16_t request = 1, reply = 2;
  bool is_ethernet_ip4() const {
    return hardware_type.get() == 1 && protocol_type.get() == static_cast<std::uint16_t>(EtherType::ip4) &&
           hardware_size == 6 && protocol_size == 4;
  }
};
static_assert(sizeof(Arp) == 28 && alignof(Arp) == 1);

}  // namespace sluice::wire

// Tested in tests/unit/dataplane/net/host_test.cc.
