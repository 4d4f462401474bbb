// icmp.h - ICMP (RFC 792, RFC 1191): echo and the errors that a forwarding host sends and reads.
#pragma once

#include "dataplane/base/endian.h"

namespace sluice::wire {

struct Icmp {
  std::uint8_t type;
  std::uint8_t code;
  Be16 checksum;
  Be16 id;        // echo; unused in errors
  Be16 sequence;  // echo; the next hop's MTU in "fragmentation needed"

  static constexpr std::uint8_t echo_reply = 0, unreachable = 3, echo_request = 8, time_exceeded = 11,
                                parameter_problem = 12;
  static constexpr std::uint8_t code_host = 1, code_port = 3, code_fragmentation_needed = 4;
  bool is_error() const {
    return type == unreachable || type == time_exceeded || type == parameter_problem || type == 4 || type == 5;
  }
};
static_assert(sizeof(Icmp) == 8 && alignof(Icmp) == 1);

}  // namespace sluice::wire

// Tested in tests/unit/dataplane/net/host_test.cc.
