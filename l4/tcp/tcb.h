// tcb.h - the state of one connection (RFC 9293 3.3.1), plain data; what the engine's functions read and write.
// Deadlines live here; the wheel holds one entry for the earliest of them (stack.cc), in the same slot of the pool. An
// idle established connection costs this slot, 512 bytes at most, and its entry in the table. What is needed only while
// something is on its way stands in transit.h.
#pragma once

#include "dataplane/base/pool.h"
#include "dataplane/base/timers.h"
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

// Of the sender, as in Linux. disorder: something is sacked or was sent again; cwr: the window shrinks because the
// network said so (ECN); loss: after a retransmission timeout.
enum class Mode : std::uint8_t { open, disorder, cwr, recovery, loss };
// What `timer_at` is for. probe is TLP's, reorder is RACK's; both stand in for the retransmission timer.
enum class Timer : std::uint8_t { none, retransmit, probe, reorder, persist };
// What the last ACK or timer lets go beside new data. fresh: new data first, and lost data only if there was none
// (F-RTO).
enum class Resend : std::uint8_t { none, lost, fresh };

inline constexpr std::uint32_t first_receive_window = 65535;  // bytes, before anything is known of the path

// In the order of who touches what, a line a paragraph: a segment that brings data reads and writes the first three; an
// ACK, and what is sent, all but the last. They are asked for before they are looked at (machine.cc).
struct Tcb {
  // Line 0, any segment: how it is found, what state it is in.
  Key key;
  Transit* transit = nullptr;  // Core::resting while nothing is on its way: to be read, never written
  State state = State::closed;
  Mode mode = Mode::open;
  std::uint16_t events = 0;
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
  bool force_send : 1 = false;  // the persist timer allows a segment that the window would hold back
  bool probe_due : 1 = false;   // a keepalive or window probe to send
  bool tail_probe_due : 1 = false;
  bool tail_probe_out : 1 = false;  // a TLP is unanswered; it sent an old segment again when `tail_probe_old`
  bool tail_probe_old : 1 = false;
  bool reordering_seen : 1 = false;
  bool dsack_due : 1 = false;
  bool undo_marked : 1 = false;        // the reduction may turn out to have been for nothing
  bool retransmit_ts_set : 1 = false;  // retransmit_ts is that of this episode
  bool frto : 1 = false;               // the timeout may turn out to have been for nothing (RFC 5682)
  bool sacks_reneged : 1 = false;
  // ECN (RFC 3168).
  bool ecn : 1 = false;       // agreed on
  bool cwr_due : 1 = false;   // CWR on the next new data
  bool echo_due : 1 = false;  // ECE on everything until the peer's CWR
  bool ect_seen : 1 = false;
  bool paced : 1 = false;           // data waits for pace_at
  bool quick_acks_off : 1 = false;  // the application answers: ACKs ride on its data
  bool reset_due : 1 = false;
  bool transparent : 1 = false;
  bool mtu_probe_out : 1 = false;
  std::uint8_t snd_scale : 4 = 0, rcv_scale : 4 = 0;  // 14 at most
  bool ecn_quiet : 1 = false;   // agreed on, but a SYN of ours did not ask: no ECT (RFC 3168 6.1.1)
  std::uint8_t acks_due = 0;    // ACKs to send in the next output
  std::uint8_t quick_acks = 0;  // ACKs that go at once
  std::uint8_t keepalives = 0;  // unanswered
  SettingsId settings = 0;      // index into Core::settings

  // Line 1, any segment: sequence numbers, windows, what the wheel knows.
  Seq snd_una, snd_nxt;
  std::uint32_t snd_wnd = 0, snd_wnd_max = 0;
  Seq snd_wl1, snd_wl2;
  Seq rcv_nxt, rcv_edge;  // rcv_edge: right edge of the window as advertised; never moves back
  Seq last_ack_sent;
  std::uint32_t ts_recent = 0, ts_recent_at = 0;  // at: seconds of our clock
  std::uint32_t ts_offset = 0;
  Moment heard_at;              // when the last acceptable segment came
  Deadline idle_at;             // handshake, keepalive, FIN-WAIT-2
  Deadline armed_at;            // what the wheel has
  std::uint16_t rcv_mss = 536;  // largest segment that the peer sent
  Timer timer = Timer::none;
  Resend resend = Resend::none;

  // Line 2, data that comes, who is told of it, and whether there is something to send.
  Chain received;                      // in order, not taken by l7
  std::uint32_t unconsumed_bytes = 0;  // in order, given to l7 or not, that l7 is not done with
  std::uint32_t unconsumed_buffers = 0;
  std::uint64_t user = 0;
  std::uint32_t pool_generation = 0;            // the pool's
  std::uint32_t received_low = 0;               // bytes received, modulo 2^32
  std::uint32_t last_received_ms = 0;           // when data came last
  std::uint32_t ack_place = DelayedAcks::none;  // of the ACK that is owed
  std::uint32_t event_next = no_slot;
  Seq queue_end;  // queue.end()

  // Line 3, what is to be sent, and what becomes of it.
  SendQueue queue;
  std::uint64_t received_before = 0;  // bytes received, as of the last ACK that we sent
  Moment progress_at;                 // when the peer last acknowledged something, or something was sent after silence
  std::uint32_t output_next = no_slot;
  Deadline timer_at;  // of `timer`
  std::uint8_t back_off = 0;
  std::uint8_t unanswered = 0;       // retransmission timeouts since SND.UNA moved
  std::uint16_t segment_size = 536;  // payload of a full segment, as of the last output

  // Line 4: how fast it goes.
  Rtt rtt;
  union {
    Rate rate{};
    struct {  // once closed: what the queue held when the connection ended
      std::uint32_t unsent, unacknowledged;
    } dropped;
  };
  std::uint16_t reordering = 3;  // segments; the threshold of duplicates (RFC 5681, 8985)
  std::uint16_t mss = 536;       // the least of the peer's, the path's and the search's: without options
  std::uint16_t peer_mss = 536, pmtu_version = 0;

  // Line 5 and the beginning of line 6: how much goes.
  Congestion congestion;
  std::uint32_t next_send = 0;  // microseconds, not before, when pacing
  Deadline pace_at;             // when `paced`

  // Line 6: how far it came, where it goes.
  std::uint64_t bytes_acknowledged = 0;
  PathCache path;
  Seq round_end;
  std::uint32_t last_sent_ms = 0;  // when data was sent last
  // The window follows what l7 takes in a round trip (deliver.cc).
  std::uint32_t rcv_window = first_receive_window;
  std::uint32_t taken_mark = 0;  // bytes that l7 had taken, modulo 2^32, when this round trip began
  Moment taken_at;

  // Rarely.
  std::uint32_t retransmits = 0, timeouts = 0;
  std::uint32_t duplicates_told = 0;  // segments, by DSACK
  std::uint32_t created_ms = 0, challenge_ms = 0;
  std::uint16_t search_mss = 0, search_high = 0;  // by the search: what passes, what does not (0: not known); 0: none
  Deadline search_at;                             // path_mtu.cc
  std::uint8_t rack_steps = 1, rack_persist = 0;  // of Rack, while there is no transit
  Unreachable unreachable = Unreachable::no;      // what ICMP said last
  ListenerId listener = ~ListenerId{0};

  static constexpr unsigned data_lines = 3, busy_lines = 7;
  bool synchronized() const { return state >= State::established && state != State::time_wait; }
  bool can_send() const { return state == State::established || state == State::close_wait; }
  std::uint32_t window() const { return rcv_edge > rcv_nxt ? static_cast<std::uint32_t>(rcv_edge - rcv_nxt) : 0; }
  std::uint32_t flight() const { return static_cast<std::uint32_t>(snd_nxt - snd_una); }
  // Bytes queued and never sent.
  std::uint32_t unsent() const { return queue_end > snd_nxt ? static_cast<std::uint32_t>(queue_end - snd_nxt) : 0; }
  bool fin_sent() const { return fin_queued && snd_nxt > queue_end; }
  void start_queue(Seq first) {
    queue.start(first);
    queue_end = queue.end();
  }
  void append(Chain bytes) {
    queue.append(std::move(bytes));
    queue_end = queue.end();
  }
  // What came in order since the last ACK that we sent, a FIN among it.
  std::uint32_t unacknowledged() const { return static_cast<std::uint32_t>(rcv_nxt - last_ack_sent); }
  std::uint64_t bytes_received() const {
    return received_before + (received_low - static_cast<std::uint32_t>(received_before));
  }
  std::uint32_t ts_now(Nanos now) const { return static_cast<std::uint32_t>(now.millis()) + ts_offset; }
  Nanos rto(const Config& c) const {
    const Nanos base = rtt.rto(c.rto_initial, c.rto_max);
    return std::min(base * (std::int64_t{1} << std::min<int>(back_off, 16)), c.rto_max);
  }
  Deadline deadline() const {
    const Deadline at = timer == Timer::none ? idle_at : Deadline::first(timer_at, idle_at);
    return paced ? Deadline::first(at, pace_at) : at;
  }
  // How many segments so many bytes make.
  std::uint32_t segments_of(std::uint32_t bytes) const { return bytes ? (bytes + segment_size - 1) / segment_size : 1; }
  void acknowledge_now() { acks_due = std::max<std::uint8_t>(acks_due, 1); }
};
using TcbPool = Pool<Tcb, TimerEntry>;
static_assert(TcbPool::stride() <= 512, "an idle established connection costs no more TCP state than that");
static_assert(offsetof(Tcb, snd_una) == 64 && offsetof(Tcb, received) == 128 && offsetof(Tcb, queue) == 192 &&
              offsetof(Tcb, rtt) == 256 && offsetof(Tcb, congestion) == 320 &&
              offsetof(Tcb, retransmits) <= 64 * Tcb::busy_lines);

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/input_slow_test.cc, tests/unit/l4/tcp/stack_test.cc.
