// engine.h - TCP for one connection: pure functions of (state, segment or time, now). They change the Tcb and take from
// the pools of Core, and nothing else; what the stack must do about it is the verdict. No I/O, clock or randomness.
#pragma once

#include "l4/tcp/segment.h"
#include "l4/tcp/tcb.h"

namespace sluice::tcp {

enum class Verdict : std::uint8_t {
  kept,       // still alive; perhaps something to send or to report
  closed,     // state is closed; the peer need not be told
  reset,      // state is closed; the peer must be told: <SEQ=SND.NXT><ACK=RCV.NXT><CTL=RST,ACK>
  refuse,     // the segment deserves a RST of its own, <SEQ=SEG.ACK><CTL=RST>; the connection stays as it is
  time_wait,  // both FINs are done and ours was the first: off to the TIME-WAIT table, with an ACK
};

// input.cc: one segment of this connection. `packet` still has its headers; its payload is taken when it is accepted.
Verdict input(Tcb& t, const Segment& s, Packet packet, Core& core, Nanos now);
// input_slow.cc: RFC 9293 3.10.7.3 and 3.10.7.4, step by step.
Verdict input_slow(Tcb& t, const Segment& s, Packet packet, Core& core, Nanos now);
// acknowledge.cc: the ACK field, window, SACK, loss detection and congestion of an acceptable ACK.
void process_ack(Tcb& t, const Segment& s, Core& core, Nanos now);
// deliver.cc: the payload of an acceptable segment, in order or not. `skip` bytes at its front are old, `size` are new.
void deliver(Tcb& t, const Segment& s, Packet packet, std::uint32_t skip, std::uint32_t size, Core& core, Nanos now);
// The next `most` ACKs go at once, as the peer needs them (Linux tcp_enter_quickack_mode): fewer where the window holds
// fewer.
void quicken_acks(Tcb& t, unsigned most);
// An ACK is owed by then at the latest, unless one is already.
void acknowledge_later(Tcb& t, Core& core, Nanos at);
void owe_nothing(Tcb& t, Core& core);  // it was sent, or is wanted no more
// The window in a SYN, which is never scaled.
inline std::uint16_t syn_window(const Settings& own) {
  return static_cast<std::uint16_t>(std::min(own.receive_limit / 2, first_receive_window));
}
std::uint32_t window_to_offer(const Tcb& t, const Core& core);  // bytes from RCV.NXT on
void consumed(Tcb& t, std::uint32_t bytes, Core& core, Nanos now);
// What waits behind a hole is wanted no more.
void drop_out_of_order(Tcb& t, Core& core);
void drop_out_of_order_behind(Tcb& t, Seq end, Core& core);
// transit.cc: a connection that is at rest gets its own Transit, before anything in it is written. False: there is
// none.
bool wake(Tcb& t, Core& core);
// Gives it back when nothing is on its way in either direction and nothing of the past matters. True: it did.
bool rest(Tcb& t, Core& core);
// expire.cc: deadlines that have passed.
Verdict expire(Tcb& t, Core& core, Nanos now);
// The timer behind data in flight: TLP's probe where there may be one, else the retransmission timeout, counted from
// now or (`from_head`) from when the head was sent. `advancing`: the timeout itself begins now.
void set_retransmit_timer(Tcb& t, const Core& core, Nanos now);
void restart_timeout(Tcb& t, const Core& core, Nanos now, bool from_head);
bool schedule_probe(Tcb& t, const Core& core, Nanos now, bool advancing);
void set_reordering_timer(Tcb& t, std::uint32_t wait_us, Nanos now);
void restart_keepalive(Tcb& t, const Core& core, Nanos now);
// path_mtu.cc: what the way takes.
// `mss` from the peer's, from what ICMP told and from the search; the connection's and congestion control's.
void sync_mss(Tcb& t, const Core& core, Nanos now);
// ICMP: packets above `mtu` do not pass. False: no news, or not to be believed.
bool path_mtu_told(Tcb& t, Core& core, std::uint16_t mtu, Nanos now);
// A retransmission timeout: after the second of full-size segments in a row, smaller ones are tried.
void suspect_black_hole(Tcb& t, Core& core, Nanos now);
// The payload of one larger segment to try now, or 0; it was sent, as the last before SND.NXT.
std::uint16_t mtu_probe_size(const Tcb& t, const Core& core, std::uint32_t link_mss, Nanos now);
void mtu_probe_sent(Tcb& t, Core& core, std::uint16_t size);
// While one is out: SND.UNA advanced; losses were found, whether it alone is lost, which is no sign of congestion; it
// is to be taken for lost.
void mtu_probe_acknowledged(Tcb& t, Core& core, Nanos now);
bool mtu_probe_lost(Tcb& t, Core& core, Nanos now);
void mtu_probe_failed(Tcb& t, Core& core, Nanos now);
// The end: frees what the connection sends and reassembles; received bytes stay readable. Adds `event` and closed.
void close(Tcb& t, std::uint16_t event, Core& core);
// Takes over what a SYN said: sequence numbers, options, scale, timestamps.
void accept_options(Tcb& t, const Options& options, const Core& core, Nanos now);

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/input_slow_test.cc, tests/unit/l4/tcp/stack_test.cc.
