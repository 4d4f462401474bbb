// recovery.h - what the sender does about losses: the states of Linux's sender (open, disorder, CWR, recovery, loss)
// and what an ACK moves in them. RFC 5681, 6582 (no SACK), 6675, 8985 (RACK-TLP), 6937 (PRR), 5682 (F-RTO), 3522 and
// 4015 (Eifel by timestamps), 3708 (undo by DSACK), 3042 (limited transmit, which counting sacked segments as gone
// gives), 3168 (ECN). Pure functions of (state, ACK or time).
#pragma once

#include "l4/tcp/segment.h"
#include "l4/tcp/tcb.h"

namespace sluice::tcp {

inline constexpr std::uint16_t reordering_max = 300;  // segments (Linux's tcp_max_reordering)

struct Ack {
  Tcb& t;
  Core& core;
  const Segment& s;
  Nanos now;
  News news;
  Seq prior_una;
  Resend resend = Resend::none;
};

// The window follows ssthresh by PRR in these.
inline bool reducing(const Tcb& t) { return t.mode == Mode::cwr || t.mode == Mode::recovery; }

// A dubious ACK: the states and their exits (Linux tcp_fastretrans_alert). `duplicates`: RFC 5681's, 0 or 1.
void judge(Ack& a, unsigned duplicates);
// The tail probe's answer (RFC 8985 7.4).
void judge_tail_probe(Ack& a);
// RFC 2883: what a DSACK of `range` tells.
void note_duplicate(Ack& a, Range range);
// An original below what had arrived: reordering, of that many bytes.
void note_reordering(Tcb& t, Seq low, Seq high);
// Without SACK: segments that the cumulative ACK passed were counted as duplicate ACKs before.
void remove_duplicates(Ack& a);

// What was too large for the path is sent again in the manner of a timeout, but nothing says that there is congestion
// (RFC 4821 7.5, Linux tcp_simple_retransmit).
void repair_without_reduction(Tcb& t);
// Losses that time tells: RACK's window is over, the retransmission timer.
void reordering_over(Tcb& t, Core& core, Nanos now);
void enter_loss(Tcb& t, Core& core, Nanos now);
std::uint32_t reordering_window_us(const Tcb& t);

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/recovery_test.cc.
