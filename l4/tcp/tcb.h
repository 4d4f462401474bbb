// tcb.h - the state of one connection (RFC 9293 3.3.1), plain data; what the engine's functions read and write.
// Deadlines live here; the wheel holds one entry for the earliest of them (stack.cc). An idle established connection
// costs this and its entries in the table and the wheel: 512 bytes at most.
#pragma once

#include "l4/tcp/congestion.h"
#include "l4/tcp/core.h"
#include "l4/tcp/egress.h"
#include "l4/tcp/info.h"
#include "l4/tcp/key.h"
#include "l4/tcp/listening.h"
#include "l4/tcp/moment.h"
#include "l4/tcp/rtt.h"
#include "l4/tcp/send_queue.h"

namespace sluice::tcp {

enum class Mode : std::uint8_t { open, recovery, loss };               // loss: after a retransmission timeout
enum class Timer : std::uint8_t { none, retransmit, probe, persist };  // what `timer_at` is for; probe is TLP's

inline constexpr std::uint32_t first_receive_window = 65535;  // bytes, before anything is known of the path

struct alignas(64) Tcb {
  // Found by, and in which lists of the stack.
  Key key;
  State state = State::closed;
  Mode mode = Mode::open;
  std::uint16_t events = 0;
  std::uint32_t event_next = no_slot, output_next = no_slot;
  std::uint64_t user = 0;

  // Sequence spaces and windows: what every segment reads and writes.
  Seq snd_una, snd_nxt;
  std::uint32_t snd_wnd = 0, snd_wnd_max = 0;
  Seq snd_wl1, snd_wl2;
  Seq rcv_nxt, rcv_edge;  // rcv_edge: right edge of the window as advertised; never moves back
  Seq last_ack_sent;
  std::uint32_t ts_recent = 0, ts_recent_at = 0;  // at: seconds of our clock
  std::uint32_t ts_offset = 0;
  std::uint32_t unacked_bytes = 0;  // received since the last ACK that we sent
  std::uint16_t mss = 536;          // the least of the peer's, the path's and the search's: without options
  std::uint16_t rcv_mss = 536;      // largest segment that the peer sent
  std::uint8_t snd_scale = 0, rcv_scale = 0;
  std::uint8_t acks_due = 0;  // ACKs to send in the next output
  std::uint8_t back_off = 0;
  std::uint8_t dup_acks = 0;
  Timer timer = Timer::none;

  bool passive : 1 = false;
  bool timestamps : 1 = false;
  bool sack : 1 = false;
  bool handshake_due : 1 = false;  // SYN or SYN-ACK to send
  bool fin_queued : 1 = false;     // FIN follows the send queue
  bool fin_seen : 1 = false;       // FIN came out of order, at fin_seq
  bool fin_received : 1 = false;
  bool released : 1 = false;
  bool in_events : 1 = false;
  bool in_output : 1 = false;
  bool in_table : 1 = false;
  bool wants_room : 1 = false;  // send_room() said 0
  bool cwnd_limited : 1 = false;
  bool force_send : 1 = false;  // the persist timer allows a segment that the window would hold back
  bool probe_due : 1 = false;   // a keepalive or window probe to send
  bool tail_probe_due : 1 = false;
  bool tail_probe_out : 1 = false;  // a TLP is unanswered; it sent an old segment again when `tail_probe_old`
  bool tail_probe_old : 1 = false;
  bool reordering_seen : 1 = false;
  bool dsack_due : 1 = false;
  bool undo_possible : 1 = false;
  bool reset_due : 1 = false;
  bool transparent : 1 = false;
  bool mtu_probe_out : 1 = false;

  SendQueue queue;
  Scoreboard board;
  Chain received;                      // in order, not taken by l7
  std::uint32_t unconsumed_bytes = 0;  // in order, given to l7 or not, that l7 is not done with
  std::uint32_t unconsumed_buffers = 0;
  // The window follows what l7 takes in a round trip (deliver.cc).
  std::uint32_t rcv_window = first_receive_window;
  std::uint32_t taken_mark = 0;  // bytes that l7 had taken, modulo 2^32, when this round trip began
  Moment taken_at;
  Reassembly reassembly;
  Seq fin_seq;

  // Deadlines.
  Deadline timer_at;    // see `timer`
  Deadline reorder_at;  // RACK's
  Deadline ack_at;      // delayed ACK
  Deadline idle_at;     // handshake, keepalive, FIN-WAIT-2
  Deadline armed_at;    // what the wheel has
  Moment progress_at;   // when the peer last acknowledged something, or we had nothing to acknowledge
  Moment heard_at;      // when the last acceptable segment came

  Congestion congestion;
  Rtt rtt;
  Seq recovery_point, round_end, tail_probe_end;
  // RACK (RFC 8985).
  union {
    Nanos rack_sent{};
    struct {  // once closed: what the queue held when the connection ended
      std::uint32_t unsent, unacknowledged;
    } dropped;
  };
  Nanos rack_rtt{};
  Seq rack_end;
  std::uint8_t reorder_steps = 1;             // reo_wnd_mult
  std::uint8_t keepalives = 0;                // unanswered
  Unreachable unreachable = Unreachable::no;  // what ICMP said last
  SettingsId settings = 0;                    // index into Core::settings
  Seq dsack_begin, dsack_end;
  // Path MTU (path_mtu.cc).
  std::uint16_t peer_mss = 536, pmtu_version = 0;
  std::uint16_t search_mss = 0, search_high = 0;  // by the search: what passes, what does not (0: not known); 0: none
  std::uint16_t mtu_probe_mss = 0;
  Deadline search_at;
  Seq mtu_probe_end;
  std::uint32_t retransmit_ts = 0;  // TSval of the first retransmission of an episode (Eifel, RFC 3522)

  std::uint64_t bytes_acknowledged = 0, bytes_received = 0;
  std::uint32_t retransmits = 0, timeouts = 0;
  ListenerId listener = ~ListenerId{0};
  std::uint32_t created_ms = 0, challenge_ms = 0;
  PathCache path;

  bool synchronized() const { return state >= State::established && state != State::time_wait; }
  bool can_send() const { return state == State::established || state == State::close_wait; }
  std::uint32_t window() const { return rcv_edge > rcv_nxt ? static_cast<std::uint32_t>(rcv_edge - rcv_nxt) : 0; }
  std::uint32_t flight() const { return static_cast<std::uint32_t>(snd_nxt - snd_una); }
  // Bytes queued and never sent.
  std::uint32_t unsent() const { return queue.end() > snd_nxt ? static_cast<std::uint32_t>(queue.end() - snd_nxt) : 0; }
  bool fin_sent() const { return fin_queued && snd_nxt > queue.end(); }
  std::uint32_t ts_now(Nanos now) const { return static_cast<std::uint32_t>(now.millis()) + ts_offset; }
  Nanos rto(const Config& c) const {
    const Nanos base = rtt.rto(c.rto_min, c.rto_initial, c.rto_max);
    return std::min(base * (std::int64_t{1} << std::min<int>(back_off, 16)), c.rto_max);
  }
  Deadline deadline() const {
    return Deadline::first(Deadline::first(timer_at, reorder_at), Deadline::first(ack_at, idle_at));
  }
  void acknowledge_now() { acks_due = std::max<std::uint8_t>(acks_due, 1); }
};

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/input_slow_test.cc, tests/unit/l4/tcp/stack_test.cc.
