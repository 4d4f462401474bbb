// transmit.h - one segment of a connection on its way out: header, SACK blocks, ECN, and what is sent again. The parts
// of output() that do not decide how much new data goes.
#pragma once

#include "l4/tcp/output.h"

namespace sluice::tcp {

struct Sender {
  Tcb& t;
  Core& core;
  Egress& egress;
  Nanos now;
  Path path;
  std::uint32_t mss = 0;    // payload of one segment
  std::uint32_t chunk = 0;  // payload of one packet handed to the egress: more than mss with TSO
  std::array<Range, 4> sacks{};
  std::uint8_t sack_count = 0;  // on every segment of this output
  bool dsack = false;           // the first of them is a duplicate's, told once
};

enum class Sent : std::uint8_t { yes, no_window, starved };

// Which ranges every segment of this output reports.
void choose_sacks(Sender& s);
Header header_of(Sender& s, Seq seq, std::uint8_t flags);
// Every segment that carries an ACK settles what was owed.
void acknowledged(Sender& s);
// False: buffers ran out. `size` may come back smaller.
bool send(Sender& s, const Header& h, Seq begin, std::uint32_t& size);
bool send_ack(Sender& s, Seq seq);
RateMark rate_mark(Tcb& t, Nanos now);
// One record again, or the first part of it that fits a packet, at most `segments_max`. `repair`: not as a tail probe.
Sent retransmit(Sender& s, std::uint32_t index, std::uint32_t segments_max, bool repair);
// Lost ranges while the window has room. False: buffers or budget ran out.
bool send_lost(Sender& s, unsigned& budget);

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/recovery_test.cc.
