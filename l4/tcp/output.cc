#include "l4/tcp/output.h"

#include "l4/tcp/engine.h"

namespace sluice::tcp {

namespace {

constexpr std::uint32_t ip_packet_max = 65535;

struct Sender {
  Tcb& t;
  Core& core;
  Egress& egress;
  Nanos now;
  Path path;
  std::uint32_t mss = 0;    // payload of one segment
  std::uint32_t chunk = 0;  // payload of one packet handed to the egress: more than mss with TSO
};

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

void add_sacks(Tcb& t, const Core& core, Header& h) {
  const unsigned limit = t.timestamps ? 3 : 4;
  unsigned count = 0;
  if (t.dsack_due) h.sack[count++] = {t.dsack_begin, t.dsack_end};
  t.dsack_due = false;
  std::array<Range, 4> ranges;
  const unsigned found = t.reassembly.report(core.holes, limit - count, ranges);
  for (unsigned i = 0; i < found; ++i) h.sack[count++] = ranges[i];
  h.sack_count = static_cast<std::uint8_t>(count);
}

Header header_of(Tcb& t, const Core& core, Seq seq, std::uint8_t flags, Nanos now) {
  Header h;
  h.seq = seq;
  h.ack = t.rcv_nxt;
  h.flags = flags | flag_ack;
  h.window = offered_window(t, core);
  h.has_timestamps = t.timestamps;
  h.ts_value = t.timestamps ? t.ts_now(now) : 0;
  h.ts_echo = t.ts_recent;
  return h;
}

// Every segment that carries an ACK settles what was owed.
void acknowledged(Tcb& t) {
  t.last_ack_sent = t.rcv_nxt;
  t.unacked_bytes = 0;
  t.acks_due = 0;
  t.ack_at = Nanos::never();
}

bool send(Sender& s, const Header& h, Seq begin, std::uint32_t& size) {
  Packet packet = make_segment(s.core, s.t.key, h, s.path, &s.t.queue, begin, size, s.mss);
  if (!packet) return false;
  s.egress.send(std::move(packet), s.t.key.local, s.t.key.remote, s.t.path, s.now);
  return true;
}

bool send_handshake(Sender& s) {
  Tcb& t = s.t;
  const Config& c = s.core.config;
  const bool reply = t.state == State::syn_received;
  Header h;
  h.seq = t.snd_una;
  h.flags = flag_syn;
  const Settings& own = s.core.settings[t.settings];
  h.window = syn_window(own);
  h.has_mss = true;
  h.mss = static_cast<std::uint16_t>(std::min<std::uint32_t>(own.mss_max, s.path.mtu - ip_header_size(t.key) - 20));
  h.sack_permitted = reply ? t.sack : c.sack;
  h.has_timestamps = reply ? t.timestamps : c.timestamps;
  h.ts_value = t.ts_now(s.now);
  h.has_window_scale = t.rcv_scale > 0 || (!reply && c.window_scaling);
  h.window_scale = t.rcv_scale;
  if (reply) {
    h.flags |= flag_ack;
    h.ack = t.rcv_nxt;
    h.ts_echo = t.ts_recent;
  }
  std::uint32_t none = 0;
  if (!send(s, h, t.snd_una, none)) return false;
  t.handshake_due = false;
  if (t.back_off == 0) t.progress_at = s.now;
  t.timer = Timer::retransmit;
  t.timer_at = s.now + t.rto(c);
  return true;
}

bool send_ack(Sender& s, Seq seq) {
  Header h = header_of(s.t, s.core, seq, 0, s.now);
  if (s.t.sack && (!s.t.reassembly.empty() || s.t.dsack_due)) add_sacks(s.t, s.core, h);
  std::uint32_t none = 0;
  return send(s, h, seq, none);
}

// One record again, or the first part of it that fits a packet.
bool retransmit(Sender& s, std::uint32_t index, std::uint32_t& sent) {
  Tcb& t = s.t;
  const Record& record = s.core.records[index];
  const Seq begin = record.begin, data_end = earlier(record.end, t.queue.end());
  std::uint32_t size = std::min(static_cast<std::uint32_t>(data_end - begin), s.chunk);
  bool fin = begin + size < record.end && begin + size == t.queue.end() && t.fin_queued;
  const std::uint32_t asked = size;
  const Header h =
      header_of(t, s.core, begin, static_cast<std::uint8_t>((fin ? flag_fin : 0) | (size ? flag_psh : 0)), s.now);
  if (!send(s, h, begin, size)) return false;
  fin = fin && size == asked;
  sent = size + (fin ? 1 : 0);
  // When no record is free for the part that did not go, the whole counts as sent: a later loss brings the rest back.
  if (begin + sent < record.end) t.board.split(s.core.records, index, begin + sent);
  t.board.resent(s.core.records, index, s.now);
  acknowledged(t);
  ++t.retransmits;
  s.core.counters.add(Counter::tcp_retransmitted_segments);
  if (t.retransmit_ts == 0) t.retransmit_ts = t.ts_now(s.now) | (t.ts_now(s.now) == 0 ? 1 : 0);
  return true;
}

// How many new bytes may go now; 0: none, and why in `t`. `fin` tells whether the FIN goes with them.
std::uint32_t allowance(Sender& s, bool& fin, bool& blocked_by_window) {
  Tcb& t = s.t;
  const std::uint32_t unsent = t.unsent();
  const std::int32_t window = (t.snd_una + t.snd_wnd) - t.snd_nxt;
  std::uint32_t size = std::min(unsent, s.chunk);
  fin = t.fin_queued && size == unsent;
  if (window < static_cast<std::int32_t>(size + fin)) {
    const std::uint32_t room = window > 0 ? static_cast<std::uint32_t>(window) : 0;
    fin = false;
    size = std::min(size, room);
    if (size >= s.mss) size -= size % s.mss;
    // Silly-window avoidance (RFC 9293 3.8.6.2.1): not a small piece because of a small window.
    if (size < s.mss && size < t.snd_wnd_max / 2 && !t.force_send && size < unsent) size = 0;
    if (size == 0) {
      blocked_by_window = true;
      return 0;
    }
  }
  if (const Settings& own = s.core.settings[t.settings]; (own.nagle || own.cork) && size == unsent && !fin)
      [[unlikely]] {
    const std::uint32_t small = size % s.mss;
    if (small && !t.force_send && (own.cork || t.board.has_small(s.core.records, s.mss))) size -= small;
    if (size == 0) return 0;
  }
  const std::uint32_t flying = t.board.in_flight(), cwnd = t.congestion.cwnd();
  const std::uint32_t extra =
      t.sack ? 0 : std::min<std::uint32_t>(t.dup_acks, 2) * s.mss;  // limited transmit (RFC 3042)
  const std::uint32_t left = cwnd + extra > flying ? cwnd + extra - flying : 0;
  if (size > left) {
    t.cwnd_limited = true;
    fin = false;
    size = left >= s.mss ? left - left % s.mss : 0;
    if (size == 0 && flying == 0) size = std::min({unsent, s.mss});
  }
  return size;
}

// False: no buffer or record.
bool send_new(Sender& s, std::uint32_t size, bool fin) {
  Tcb& t = s.t;
  if (!s.core.records.left()) {
    s.core.counters.add(Counter::tcp_no_records);
    return false;
  }
  const bool last = t.snd_nxt + size == t.queue.end();
  const Header h = header_of(t, s.core, t.snd_nxt,
                             static_cast<std::uint8_t>((last && size ? flag_psh : 0) | (fin ? flag_fin : 0)), s.now);
  if (t.board.empty()) {
    t.progress_at = s.now;  // the user timeout counts from here
    const Nanos idle = s.now - t.heard_at;
    if (t.rtt.known() && idle > t.rto(s.core.config)) t.congestion.restart_after_idle();
  }
  const std::uint32_t asked = size;
  if (!send(s, h, t.snd_nxt, size)) return false;
  fin = fin && size == asked;
  const std::uint32_t length = size + fin;
  CHECK(t.board.sent(s.core.records, t.snd_nxt, t.snd_nxt + length, s.now));
  t.snd_nxt += length;
  t.force_send = false;
  acknowledged(t);
  if (fin) {
    if (t.state == State::established) t.state = State::fin_wait_1;
    else if (t.state == State::close_wait) t.state = State::last_ack;
  }
  return true;
}

// One segment larger than the path is known to take (RFC 4821 7.4), when there is time for it.
void send_mtu_probe(Sender& s, bool& starved) {
  Tcb& t = s.t;
  std::uint32_t link = s.path.mtu - ip_header_size(t.key) - 20;
  if (!s.path.gather) link = std::min<std::uint32_t>(link, buffer_data_size);
  const std::uint16_t size = mtu_probe_size(t, s.core, link, s.now);
  if (size == 0) return;
  const std::uint32_t mss = std::exchange(s.mss, size);
  starved = !send_new(s, size, false);
  s.mss = mss;
  if (!starved) mtu_probe_sent(t, s.core, size);
}

// TLP (RFC 8985 7.3): new data when there is some, else the last record again. True when something was sent.
bool send_tail_probe(Sender& s, bool& starved) {
  Tcb& t = s.t;
  t.tail_probe_due = false;
  if (t.board.empty() || t.mode != Mode::open) return false;
  const std::uint32_t unsent = std::min(t.unsent(), s.mss);
  const bool window = unsent && t.snd_una + t.snd_wnd >= t.snd_nxt + unsent;
  std::uint32_t sent = 0;
  if (window) {
    starved = !send_new(s, unsent, false);
    t.tail_probe_old = false;
  } else {
    std::uint32_t last = t.board.tail();
    const Record& record = s.core.records[last];
    if (static_cast<std::uint32_t>(record.end - record.begin) > s.mss) {
      if (!t.board.split(s.core.records, last, record.end - s.mss)) return false;
      last = t.board.tail();
    }
    starved = !retransmit(s, last, sent);
    t.tail_probe_old = true;
  }
  if (starved) return false;
  t.tail_probe_out = true;
  t.tail_probe_end = t.snd_nxt;
  s.core.counters.add(Counter::tcp_tail_probes);
  return true;
}

// Lost ranges first, then new data, while the congestion window has room. False: buffers or budget ran out.
bool send_data(Sender& s, unsigned& budget) {
  Tcb& t = s.t;
  bool sent_new = false, starved = false, by_window = false;
  const bool was_empty = t.board.empty();
  if (t.tail_probe_due) send_tail_probe(s, starved);
  if (t.search_mss) [[unlikely]]
    send_mtu_probe(s, starved);
  t.cwnd_limited = false;
  while (!starved && budget > 0) {
    if (const std::uint32_t lost = t.board.first_lost(s.core.records); lost != no_slot) {
      if (t.board.in_flight() > 0 && t.board.in_flight() + s.mss > t.congestion.cwnd()) {
        t.cwnd_limited = true;
        break;
      }
      std::uint32_t sent = 0;
      if (!retransmit(s, lost, sent)) {
        starved = true;
        break;
      }
      if (t.mode == Mode::recovery) t.congestion.prr_sent(sent);
      --budget;
      continue;
    }
    bool fin = false;
    if (t.unsent() == 0 && !(t.fin_queued && !t.fin_sent())) break;
    const std::uint32_t size = allowance(s, fin, by_window);
    if (size == 0 && !fin) break;
    if (!send_new(s, size, fin)) {
      starved = true;
      break;
    }
    if (t.mode == Mode::recovery) t.congestion.prr_sent(size);
    sent_new = true;
    --budget;
  }
  if (sent_new && (was_empty || t.timer == Timer::probe)) set_retransmit_timer(t, s.core, s.now);
  if (!t.board.empty() && t.timer == Timer::none) set_retransmit_timer(t, s.core, s.now);
  if (by_window && t.board.empty() && t.timer != Timer::persist) {
    t.timer = Timer::persist;
    t.timer_at = s.now + t.rto(s.core.config);
    t.progress_at = s.now;
  }
  return !starved && (budget > 0 || !wants_output(t));
}

}  // namespace

bool output(Tcb& t, Core& core, Egress& egress, Nanos now, unsigned& budget) {
  if (t.state == State::closed) return false;
  Sender s{t, core, egress, now, egress.path(t.key.local, t.key.remote, t.path)};
  if (t.pmtu_version != core.path_mtus.version()) [[unlikely]]
    sync_mss(t, core, now);
  const std::uint32_t ip_size = ip_header_size(t.key), options = t.timestamps ? 12 : 0;
  // No route now: what is due is taken for lost on the wire, and the timers bring it back.
  if (s.path.mtu < ip_size + 20 + options + 8)
    s.path.mtu = static_cast<std::uint16_t>(t.key.local.is_v4() ? 576 : 1280);
  s.mss = std::min<std::uint32_t>(t.mss, s.path.mtu - ip_size - 20) - options;
  if (!s.path.gather) s.mss = std::min<std::uint32_t>(s.mss, buffer_data_size);
  const std::uint32_t whole = (ip_packet_max - ip_size - 20 - options) / s.mss;
  s.chunk = s.path.tso && s.path.gather ? s.mss * std::max(whole, 1u) : s.mss;
  if (t.handshake_due && !send_handshake(s)) return true;
  if (t.state < State::established) {
    // A simultaneous open answers the peer's SYN-ACK; everything else waits for the handshake.
    if (t.acks_due && t.state == State::syn_received && send_ack(s, t.snd_nxt)) acknowledged(t);
    t.acks_due = 0;
    return false;
  }

  if (t.probe_due) {
    // An old sequence number without data: whoever gets it must answer (RFC 9293 3.8.4, as Linux).
    t.probe_due = !send_ack(s, t.snd_una - 1);
  }
  const bool report = t.sack && (!t.reassembly.empty() || t.dsack_due) && t.acks_due;
  if (report && send_ack(s, t.snd_nxt)) acknowledged(t);  // SACK blocks go alone: data segments carry none
  const bool more = !send_data(s, budget);
  while (t.acks_due && send_ack(s, t.snd_nxt)) {
    const std::uint8_t left = t.acks_due - 1;
    acknowledged(t);
    t.acks_due = left;
  }
  if (t.unsent() == 0 && t.board.empty()) t.cwnd_limited = false;
  return more || t.acks_due;
}

void send_reply(const Reply& reply, Core& core, Egress& egress, Nanos now) {
  PathCache cache;
  const Path path = egress.path(reply.key.local, reply.key.remote, cache);
  Header header = reply.header;
  if (header.has_mss && path.mtu > ip_header_size(reply.key) + 20)
    header.mss =
        std::min<std::uint16_t>(header.mss, static_cast<std::uint16_t>(path.mtu - ip_header_size(reply.key) - 20));
  std::uint32_t none = 0;
  Packet packet = make_segment(core, reply.key, header, path, nullptr, header.seq, none, 1);
  if (packet) egress.send(std::move(packet), reply.key.local, reply.key.remote, cache, now);
}

}  // namespace sluice::tcp
