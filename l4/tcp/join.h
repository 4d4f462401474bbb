// join.h - segments that came in one burst, one behind the other, become one (as Linux's GRO, tcp_gro_receive; ports
// may do it before us, with the same result): one look at the connection, one ACK, one event for all. Only what the
// fast path would take alike piece by piece: data in order whose headers parse found the same (Meta::continues), up to
// a PSH or a shorter one, without a congestion mark. The payloads are linked, not copied. ACKs without data give way to
// the last of their run, as if the others had been lost on the way here (as Linux's tcp_add_to_backlog). Pure; any
// thread.
#pragma once

#include <span>

#include "l4/tcp/segment.h"
#include "l4/tcp/tcb.h"

namespace sluice::tcp {

// Takes those packets at the front of `behind` into `head` that continue it, and returns how many. `s` is the head's
// segment, and then the whole's.
std::size_t join(Packet& head, Segment& s, std::span<Packet> behind);

// Whether `s`, an ACK at the front of a run, may give way to the last of the run, which acknowledges up to `last`:
// nothing is to be learnt of it alone. HyStart++ counts samples while the window grows; episodes of loss count ACKs.
bool gives_way(const Tcb& t, const Segment& s, Seq last);

}  // namespace sluice::tcp
