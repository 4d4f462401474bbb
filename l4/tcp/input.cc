// The fast path: an established connection, the next segment in order, nothing odd about it.
#include "l4/tcp/engine.h"

namespace sluice::tcp {

Verdict input(Tcb& t, const Segment& s, Packet packet, Core& core, Nanos now) {
  constexpr std::uint8_t odd = flag_syn | flag_fin | flag_rst | flag_urg | flag_ack | flag_ece;
  const Options& o = s.options;
  const auto acked = static_cast<std::uint32_t>(s.ack - t.snd_una);
  if (t.state != State::established || (s.flags & odd) != flag_ack || s.seq != t.rcv_nxt || acked > t.flight() ||
      s.size > t.window() || t.released || t.fin_seen || !t.transit->reassembly.empty() || t.mode != Mode::open ||
      o.sack_count || t.transit->board.sacked() || o.has_timestamps != t.timestamps ||
      (t.timestamps && static_cast<std::int32_t>(o.ts_value - t.ts_recent) < 0) || (acked == 0 && s.size == 0))
      [[unlikely]]
    return input_slow(t, s, std::move(packet), core, now);

  if (t.timestamps && s.seq <= t.last_ack_sent) {
    t.ts_recent = o.ts_value;
    t.ts_recent_at = static_cast<std::uint32_t>(now.ns / 1'000'000'000);
  }
  restart_keepalive(t, core, now);
  process_ack(t, s, core, now);
  if (s.size) deliver(t, s, std::move(packet), 0, s.size, core, now);
  return Verdict::kept;
}

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/stack_test.cc.
