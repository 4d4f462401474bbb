// tcp_info.h - Linux's struct tcp_info of a connection of the stack. Private to tests/support/tcp_shim.
#pragma once

#include "tests/support/tcp_shim/shim.h"

namespace sluice::shim {

// Copies as much of it as `*size` has room for, and says how much. 0, or an errno value.
int put_tcp_info(Shim& shim, const Socket& s, void* value, socklen_t* size);
// Payload bytes of a full segment: less than the MSS by the timestamps.
int segment_size(const Shim& shim, const tcp::Info& info);
int offered_mss(Shim& shim, const Socket& s, const tcp::Info& info);
std::uint16_t path_mtu(const Shim& shim, const tcp::Info& info);

}  // namespace sluice::shim
