// Memory pressure: who is cut when queues hold nearly all buffers they may, and why. First those that hold buffers and
// have not moved for a while: silent peers, and peers whose window has been shut through several probes. When a whole
// round finds none, the one that holds most, if that is far above an equal share. A cut is a RST to the peer and
// event_cut to l7. New connections are not admitted meanwhile (Core::admits_connections).
#include "l4/tcp/machine.h"

namespace sluice::tcp {

namespace {

constexpr unsigned looked_at_per_turn = 256;
constexpr unsigned cuts_per_turn = 16;
constexpr std::uint8_t shut_probes = 5;  // 200 ms doubled so often: six seconds of a shut window
constexpr Nanos silent{10'000'000'000};

std::uint32_t buffers_of(const Tcb& t) {
  return t.queue.buffers() + t.transit->reassembly.buffers() + t.unconsumed_buffers;
}

bool stands_still(const Tcb& t, Nanos now) {
  return now - t.heard_at >= silent || (t.timer == Timer::persist && t.back_off >= shut_probes);
}

}  // namespace

void Stack::Machine::cut(Tcb& t, Counter reason, Nanos now) {
  core.counters.add(reason);
  const std::uint32_t unread = t.unconsumed_buffers;
  t.received.clear();
  t.unconsumed_buffers = t.unconsumed_bytes = 0;
  core.held -= unread;
  close(t, event_reset | event_cut, core);
  reset_peer(t, now);
  settle(t);
}

void Stack::Machine::relieve(Nanos now) {
  if (!core.dire()) {
    greediest = no_slot;
    most = 0;
    return;
  }
  unsigned cuts = 0;
  const std::uint32_t capacity = connections.capacity();
  for (unsigned n = 0; n < std::min(looked_at_per_turn, capacity) && cuts < cuts_per_turn; ++n) {
    if (pressure_cursor == capacity) {  // a round is over
      pressure_cursor = 0;
      const std::uint32_t victim = std::exchange(greediest, no_slot);
      const std::uint32_t held = std::exchange(most, 0u);
      if (victim != no_slot && connections.live(victim) && connections[victim].synchronized() &&
          held >= Core::few_buffers && held > 4 * core.held / std::max(connections.size(), 1u)) {
        cut(connections[victim], Counter::tcp_pressure_cut_greedy, now);
        return;
      }
    }
    const std::uint32_t index = pressure_cursor++;
    if (!connections.live(index)) continue;
    Tcb& t = connections[index];
    const std::uint32_t held = t.synchronized() ? buffers_of(t) : 0;
    if (held == 0) continue;
    if (stands_still(t, now)) {
      cut(t, Counter::tcp_pressure_cut_idle, now);
      ++cuts;
      greediest = no_slot;  // idle ones first: a new round decides about the greedy
      most = 0;
    } else if (held > most) {
      most = held;
      greediest = index;
    }
  }
}

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/pressure_test.cc.
