// wire.h - the TCP header as it stands on the wire (RFC 9293 3.1), without options.
#pragma once

#include "dataplane/base/endian.h"

namespace sluice::tcp {

struct WireTcp {
  Be16 source_port, destination_port;
  Be32 seq, ack;
  std::uint8_t data_offset;  // in the upper four bits, words of four bytes
  std::uint8_t flags;
  Be16 window, checksum, urgent;
};
static_assert(sizeof(WireTcp) == 20);

enum OptionKind : std::uint8_t {
  option_end = 0,
  option_nop = 1,
  option_mss = 2,
  option_window_scale = 3,
  option_sack_permitted = 4,
  option_sack = 5,
  option_timestamps = 8
};
inline constexpr std::uint8_t window_scale_max = 14;  // RFC 7323 2.3

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/input_slow_test.cc.
