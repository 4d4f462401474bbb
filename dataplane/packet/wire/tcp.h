// tcp.h - the TCP header (RFC 9293) without its options, which lie behind it.
#pragma once

#include "dataplane/base/endian.h"

namespace sluice::wire {

struct Tcp {
  Be16 source;
  Be16 destination;
  Be32 sequence;
  Be32 acknowledgement;
  std::uint8_t offset;  // header size in units of 4 bytes, in the upper half
  std::uint8_t flags;
  Be16 window;
  Be16 checksum;
  Be16 urgent;

  static constexpr std::uint8_t fin = 0x01, syn = 0x02, rst = 0x04, psh = 0x08, ack = 0x10, urg = 0x20, ece = 0x40,
                                cwr = 0x80;
  std::uint16_t header_size() const { return static_cast<std::uint16_t>((offset >> 4) * 4); }
};
static_assert(sizeof(Tcp) == 20 && alignof(Tcp) == 1);

}  // namespace sluice::wire

// Tested in tests/unit/dataplane/packet/parse_test.cc, tests/unit/dataplane/packet/emit_test.cc.
