#include "l4/tcp/transmit.h"

#include "l4/tcp/engine.h"
#include "l4/tcp/pace.h"
#include "l4/tcp/recovery.h"

namespace sluice::tcp {

namespace {

std::uint16_t offered_window(Tcb& t, const Core& core) {
  const std::uint32_t window = window_to_offer(t, core);
  // Rounded up where rounding down would take back what was offered.
  const std::uint32_t unit = 1u << t.rcv_scale;
  std::uint32_t field = window >> t.rcv_scale;
  if ((field << t.rcv_scale) < t.window()) field = (t.window() + unit - 1) >> t.rcv_scale;
  field = std::min(field, 65535u);
  t.rcv_edge = later(t.rcv_edge, t.rcv_nxt + (field << t.rcv_scale));
  return static_cast<std::uint16_t>(field);
}

}  // namespace

// What every segment reports (RFC 2018 4), the duplicate first (RFC 2883 4).
void choose_sacks(Sender& s) {
  Tcb& t = s.t;
  if (!t.sack || (t.transit->reassembly.empty() && !t.dsack_due && !t.fin_seen)) return;
  const unsigned limit = t.timestamps ? 3 : 4;
  unsigned count = 0;
  s.dsack = t.dsack_due;
  if (t.dsack_due) s.sacks[count++] = {t.transit->dsack_begin, t.transit->dsack_end};
  std::array<Range, 4> ranges;
  const unsigned found = t.transit->reassembly.report(s.core.holes, limit - count, ranges);
  bool fin_told = !t.fin_seen;  // a FIN that waits counts as a byte, as in Linux
  for (unsigned i = 0; i < found; ++i) {
    if (t.fin_seen && ranges[i].end == t.transit->fin_seq) {
      ranges[i].end += 1;
      fin_told = true;
    }
    s.sacks[count++] = ranges[i];
  }
  if (!fin_told && count < limit) s.sacks[count++] = {t.transit->fin_seq, t.transit->fin_seq + 1};
  s.sack_count = static_cast<std::uint8_t>(count);
}

Header header_of(Sender& s, Seq seq, std::uint8_t flags) {
  Tcb& t = s.t;
  Header h;
  h.seq = seq;
  h.ack = t.rcv_nxt;
  h.flags = static_cast<std::uint8_t>(flags | flag_ack | (t.echo_due ? flag_ece : 0));
  h.window = offered_window(t, s.core);
  h.has_timestamps = t.timestamps;
  h.ts_value = t.timestamps ? t.ts_now(s.now) : 0;
  h.ts_echo = t.ts_recent;
  h.sack_count = s.sack_count;
  h.sack = s.sacks;
  return h;
}

void acknowledged(Sender& s) {
  Tcb& t = s.t;
  if (t.unacknowledged() && t.quick_acks) --t.quick_acks;
  t.last_ack_sent = t.rcv_nxt;
  t.received_before = t.bytes_received();
  t.acks_due = 0;
  owe_nothing(t, s.core);
  if (!s.dsack) return;
  s.dsack = t.dsack_due = false;
  for (unsigned i = 1; i < s.sack_count; ++i) s.sacks[i - 1] = s.sacks[i];
  --s.sack_count;
}

bool send(Sender& s, const Header& h, Seq begin, std::uint32_t& size) {
  Packet packet = make_segment(s.core, s.t.key, h, s.path, &s.t.queue, begin, size, s.mss);
  if (!packet) return false;
  s.egress.send(std::move(packet), s.t.key.local, s.t.key.remote, s.t.path, s.now);
  return true;
}

bool send_ack(Sender& s, Seq seq) {
  const Header h = header_of(s, seq, 0);
  std::uint32_t none = 0;
  return send(s, h, seq, none);
}

RateMark rate_mark(Tcb& t, Nanos now) { return t.rate.on_sent(t.transit->board.out() == 0, stamp_of(now)); }

Sent retransmit(Sender& s, std::uint32_t index, std::uint32_t segments_max, bool repair) {
  Tcb& t = s.t;
  const Record& record = s.core.records[index];
  const Seq begin = record.begin, data_end = earlier(record.end, t.queue.end()), edge = t.snd_una + t.snd_wnd;
  std::uint32_t limit = std::min(s.chunk, segments_max * s.mss);
  if (begin + limit > edge) {
    // Nothing beyond the peer's window, but the head, which then is a probe of it.
    if (begin < edge) limit = static_cast<std::uint32_t>(edge - begin);
    else if (begin != t.snd_una) return Sent::no_window;
    else limit = s.mss;
  }
  std::uint32_t size = std::min(static_cast<std::uint32_t>(data_end - begin), limit);
  bool fin = begin + size < record.end && begin + size == t.queue.end() && t.fin_queued;
  const std::uint32_t asked = size;
  const bool push = size > s.mss || (record.is(is_push) && begin + size == data_end);
  const Header h = header_of(s, begin, static_cast<std::uint8_t>((fin ? flag_fin : 0) | (push ? flag_psh : 0)));
  if (!send(s, h, begin, size)) return Sent::starved;
  fin = fin && size == asked;
  const std::uint32_t sent = size + (fin ? 1 : 0);
  // When no record is free for the part that did not go, the whole counts as sent: a later loss brings the rest back.
  if (begin + sent < record.end) t.transit->board.split(s.core.records, index, begin + sent, t.segment_size);
  t.transit->board.resent(s.core.records, index, rate_mark(t, s.now), stamp_of(s.now), repair);
  const std::uint32_t segments = s.core.records[index].segments;
  acknowledged(s);
  t.retransmits += segments;
  s.core.counters.add(Counter::tcp_retransmitted_segments, segments);
  pace(t, s.core.config, sent, s.now);
  if (!repair) return Sent::yes;
  t.transit->undo_resends = std::max(t.transit->undo_resends, 0) + static_cast<std::int32_t>(segments);
  if (!t.retransmit_ts_set) t.transit->retransmit_ts = t.ts_now(s.now);
  t.retransmit_ts_set = true;
  if (reducing(t)) t.congestion.reduction_sent(segments);
  return Sent::yes;
}

bool send_lost(Sender& s, unsigned& budget) {
  Tcb& t = s.t;
  bool head = false;
  while (true) {
    const std::uint32_t index = t.transit->board.first_lost(s.core.records), flying = t.transit->board.in_flight();
    if (index == no_slot || flying >= t.congestion.cwnd()) break;
    if (budget == 0) return false;
    if (held_by_pace(t, s.core.config, s.now)) return true;  // goes on when the time comes
    const Sent sent = retransmit(s, index, t.congestion.cwnd() - flying, true);
    if (sent == Sent::starved) return false;
    if (sent == Sent::no_window) break;
    head |= index == t.transit->board.head();
    --budget;
  }
  // The head's clock begins anew, unless RACK has something to look at before.
  if (head && t.timer != Timer::reorder) restart_timeout(t, s.core, s.now, false);
  t.resend = Resend::none;
  return true;
}

}  // namespace sluice::tcp
