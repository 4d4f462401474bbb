#include "l4/tcp/transit.h"

#include "l4/tcp/engine.h"

namespace sluice::tcp {

namespace {

bool at_rest(const Tcb& t) {
  const Transit& x = *t.transit;
  return x.board.empty() && x.reassembly.empty() && t.mode == Mode::open && !t.undo_marked && !t.tail_probe_out &&
         !t.tail_probe_due && !t.dsack_due && !t.fin_seen && !t.mtu_probe_out;
}

}  // namespace

bool wake(Tcb& t, Core& core) {
  if (t.transit != &core.resting) return true;
  Transit* transit = core.transits.take();
  if (!transit) return false;
  transit->recovery_point = transit->undo_marker = t.snd_una;
  transit->rack.steps = t.rack_steps;
  transit->rack.persist = t.rack_persist;
  t.transit = transit;
  return true;
}

bool rest(Tcb& t, Core& core) {
  if (t.transit == &core.resting || (t.state != State::closed && !at_rest(t))) return false;
  Rack& rack = t.transit->rack;
  if (rack.dsack_seen) rack.widen(0);  // what the next delivery would have done
  t.rack_steps = rack.steps;
  t.rack_persist = rack.persist;
  core.transits.give(t.transit);
  t.transit = &core.resting;
  return true;
}

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/transit_test.cc.
