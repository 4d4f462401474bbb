// udp.h - the UDP header (RFC 768).
#pragma once

#include "dataplane/base/endian.h"

namespace sluice::wire {

struct Udp {
  Be16 source;
  Be16 destination;
  Be16 length;
  Be16 checksum;  // 0: none was made (IPv4 only)
};
static_assert(sizeof(Udp) == 8 && alignof(Udp) == 1);

}  // namespace sluice::wire

// Tested in tests/unit/dataplane/packet/parse_test.cc, tests/unit/dataplane/packet/emit_test.cc.
