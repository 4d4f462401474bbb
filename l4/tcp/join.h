// join.h - segments that came in one burst, one behind the other, become one (as Linux's GRO, tcp_gro_receive; ports
// may do it before us, with the same result): one look at the connection, one ACK, one event for all. Only what the
// fast path would take alike piece by piece: data of one tuple in order, the same ACK number, window and options, no
// flag but ACK (and PSH, which ends it), no congestion mark. The payloads are linked, not copied. Pure; any thread.
#pragma once

#include <span>

#include "l4/tcp/segment.h"

namespace sluice::tcp {

// Takes those packets at the front of `behind` into `head` that continue it, and returns how many. `s` is the head's
// segment, and then the whole's. All are of one tuple.
std::size_t join(Packet& head, Segment& s, std::span<Packet> behind);

}  // namespace sluice::tcp
