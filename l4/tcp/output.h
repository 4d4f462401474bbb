// output.h - the segments of one connection: what it may send now. A pure function of (state, now): the segments go to
// the egress that is passed in.
#pragma once

#include "l4/tcp/emit.h"
#include "l4/tcp/tcb.h"

namespace sluice::tcp {

// Whether an output() has anything to do for this connection.
inline bool wants_output(const Tcb& t) {
  return t.acks_due || t.handshake_due || t.probe_due || t.tail_probe_due ||
         (!t.paced && (t.resend != Resend::none ||
                       (t.state >= State::established && (t.unsent() || (t.fin_queued && !t.fin_sent())))));
}
// Sends at most `budget` segments and takes them from it. True when more could be sent at once: budget or buffers ran
// out.
bool output(Tcb& t, Core& core, Egress& egress, Nanos now, unsigned& budget);

// Segments without state: RST, and the ACKs of TIME-WAIT and half-open handshakes.
struct Reply {
  Key key;
  Header header;
};
void send_reply(const Reply& reply, Core& core, Egress& egress, Nanos now);

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/acknowledge_test.cc, tests/unit/l4/tcp/stack_test.cc.
