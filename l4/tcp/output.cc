#include "l4/tcp/output.h"

#include "l4/tcp/engine.h"
#include "l4/tcp/pace.h"
#include "l4/tcp/recovery.h"
#include "l4/tcp/transmit.h"

namespace sluice::tcp {

namespace {

constexpr std::uint32_t ip_packet_max = 65535;

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
  // ECN is asked for once: a SYN that is lost may have been lost for asking (RFC 3168 6.1.1.1).
  if (!reply) {
    if (t.back_off == 0) t.ecn = c.ecn == Ecn::ask;
    else t.ecn_quiet = t.ecn;
  }
  if (t.ecn && (reply || !t.ecn_quiet)) h.flags |= reply ? flag_ece : flag_ece | flag_cwr;
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

// How many new bytes may go now; 0: none. `fin` tells whether the FIN goes with them, `held` that they wait for the
// peer's window or for a cork: for one of those they do not wait for ever.
std::uint32_t allowance(Sender& s, bool& fin, bool& held) {
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
      held = true;
      return 0;
    }
  }
  if (const Settings& own = s.core.settings[t.settings]; (own.nagle || own.cork) && size == unsent && !fin)
      [[unlikely]] {
    const std::uint32_t small = size % s.mss;
    if (small && !t.force_send && (own.cork || t.transit->board.has_small(s.core.records, s.mss))) size -= small;
    if (size == 0) {
      held = own.cork;
      return 0;
    }
  }
  const std::uint32_t flying = t.transit->board.in_flight(), cwnd = t.congestion.cwnd();
  const std::uint32_t left = cwnd > flying ? cwnd - flying : 0;
  if (size && t.segments_of(size) > left) {  // a FIN alone does not wait
    fin = false;
    size = std::min(size, left * s.mss);
  }
  // Half of the window at most in one piece, so that ACKs of its front come back while the rest leaves (as Linux).
  if (const std::uint32_t half = std::max(cwnd / 2, 1u) * s.mss; size > half) {
    size = half;
    fin = false;
  }
  if (t.cwr_due && size > s.mss) {  // CWR is for one segment: a port that cuts would repeat it
    size = s.mss;
    fin = false;
  }
  return size;
}

// Before the first segment after silence.
void begin_flight(Sender& s) {
  Tcb& t = s.t;
  t.progress_at = s.now;  // the user timeout counts from here
  const auto ms = static_cast<std::uint32_t>(s.now.millis()), idle = ms - t.last_sent_ms;
  const auto rto = static_cast<std::uint32_t>(t.rto(s.core.config).millis());
  t.congestion.resumed(idle, ms);
  if (s.core.config.idle_restart && idle > rto) t.congestion.restart_after_idle(idle, rto, ms);
}

// False: no buffer or record.
bool send_new(Sender& s, std::uint32_t size, bool fin) {
  Tcb& t = s.t;
  if (!s.core.records.left() || !wake(t, s.core)) {
    s.core.counters.add(Counter::tcp_no_records);
    return false;
  }
  const bool last = t.snd_nxt + size == t.queue.end() && size;
  // Also at the end of a piece that is cut on its way, so that receivers which join its segments do not wait for more.
  const bool push = last && (t.force_send || !s.core.settings[t.settings].more), many = size > s.mss;
  Header h = header_of(s, t.snd_nxt, static_cast<std::uint8_t>((push || many ? flag_psh : 0) | (fin ? flag_fin : 0)));
  if (t.ecn && size) {  // RFC 3168 6.1: on new data only
    if (!t.ecn_quiet) h.ecn = EcnField::ect0;
    if (t.cwr_due) h.flags |= flag_cwr;
    t.cwr_due = false;
  }
  const std::uint32_t asked = size;
  if (!send(s, h, t.snd_nxt, size)) return false;
  fin = fin && size == asked;
  const std::uint32_t length = size + fin, segments = t.segments_of(size);
  const bool first = t.transit->board.empty();
  const auto marks =
      static_cast<std::uint8_t>((push && size == asked ? is_push : 0) | (t.rate.app_limited ? is_app_limited : 0));
  CHECK(t.transit->board.sent(s.core.records, t.snd_nxt, t.snd_nxt + length, segments, marks, rate_mark(t, s.now),
                              stamp_of(s.now)));
  t.snd_nxt += length;
  t.force_send = false;
  acknowledged(s);
  if (first || t.timer == Timer::probe) restart_timeout(t, s.core, s.now, t.timer == Timer::probe);
  if (size) {
    const auto ms = static_cast<std::uint32_t>(s.now.millis());
    t.last_sent_ms = ms;
    // An answer soon after what it answers: from now on ACKs wait for answers.
    if (t.last_received_ms && ms - t.last_received_ms < static_cast<std::uint32_t>(s.core.config.delayed_ack.millis()))
      t.quick_acks_off = true;
    pace(t, s.core.config, length, s.now);
  }
  if (reducing(t)) t.congestion.reduction_sent(segments);
  if (fin) {
    if (t.state == State::established) t.state = State::fin_wait_1;
    else if (t.state == State::close_wait) t.state = State::last_ack;
  }
  return true;
}

// One segment larger than the path is known to take (RFC 4821 7.4), when there is time for it. False: no buffer.
bool send_mtu_probe(Sender& s) {
  Tcb& t = s.t;
  std::uint32_t link = s.path.mtu - ip_header_size(t.key) - 20;
  if (!s.path.gather) link = std::min<std::uint32_t>(link, buffer_data_size);
  const std::uint16_t size = mtu_probe_size(t, s.core, link, s.now);
  if (size == 0) return true;
  if (t.transit->board.empty()) begin_flight(s);
  const std::uint32_t mss = std::exchange(s.mss, size);
  const bool sent = send_new(s, size, false);
  s.mss = mss;
  if (sent) mtu_probe_sent(t, s.core, size);
  return sent;
}

// TLP (RFC 8985 7.3): new data when there is some, whatever the congestion window says, else the last record again.
// False: buffers ran out.
bool send_tail_probe(Sender& s) {
  Tcb& t = s.t;
  if (t.transit->board.empty() || t.mode == Mode::recovery || t.mode == Mode::loss) {
    t.tail_probe_due = false;
    return true;
  }
  const std::uint32_t unsent = std::min(t.unsent(), s.mss);
  if (unsent && t.snd_una + t.snd_wnd >= t.snd_nxt + unsent) {
    if (!send_new(s, unsent, t.fin_queued && unsent == t.unsent())) return false;
    t.tail_probe_old = false;
  } else {
    std::uint32_t last = t.transit->board.tail();
    const Record& record = s.core.records[last];
    if (record.segments > 1 && record.size() > s.mss) {
      const std::uint32_t rest = record.size() % s.mss ? record.size() % s.mss : s.mss;
      if (!t.transit->board.split(s.core.records, last, record.end - rest, t.segment_size)) return false;
      last = t.transit->board.tail();
    }
    const Sent sent = retransmit(s, last, 1, false);
    if (sent == Sent::starved) return false;
    t.tail_probe_old = true;
    if (sent == Sent::no_window) {
      t.tail_probe_due = false;
      return true;
    }
  }
  t.tail_probe_due = false;
  t.tail_probe_out = true;
  t.transit->tail_probe_end = t.snd_nxt;
  s.core.counters.add(Counter::tcp_tail_probes);
  restart_timeout(t, s.core, s.now, false);
  return true;
}

// New data and the FIN. False: buffers or budget ran out.
bool send_unsent(Sender& s, unsigned& budget, bool& held) {
  Tcb& t = s.t;
  bool any = false, more = false;
  const bool tried = t.unsent() > 0;
  while (t.unsent() > 0 || (t.fin_queued && !t.fin_sent())) {
    if (budget == 0) {
      more = true;
      break;
    }
    if (held_by_pace(t, s.core.config, s.now)) break;
    bool fin = false;
    std::uint32_t size = allowance(s, fin, held);
    if (size == 0 && !fin) break;
    if (t.transit->board.empty()) {
      const std::uint32_t cwnd = t.congestion.cwnd();
      begin_flight(s);
      if (t.congestion.cwnd() < cwnd) size = allowance(s, fin, held);
    }
    if (!send_new(s, size, fin)) {
      more = true;
      break;
    }
    any = true;
    budget -= std::min<unsigned>(budget, t.segments_of(size));
  }
  const bool limited = t.transit->board.in_flight() >= t.congestion.cwnd();
  if (tried && (any || limited)) {
    const Config& c = s.core.config;
    const std::int64_t idle = c.idle_restart ? t.rto(c).millis() : 0;
    t.congestion.sent(t.transit->board.out(), limited, t.snd_una, t.snd_nxt, static_cast<std::uint32_t>(idle),
                      t.mode == Mode::open, static_cast<std::uint32_t>(s.now.millis()));
  }
  if (any) schedule_probe(t, s.core, s.now, false);
  return !more;
}

// What is lost first, then new data, while the congestion window has room. False: buffers or budget ran out.
bool send_data(Sender& s, unsigned& budget) {
  Tcb& t = s.t;
  bool held = false;
  if (t.tail_probe_due && !send_tail_probe(s)) return false;
  if (t.search_mss && !send_mtu_probe(s)) [[unlikely]]
    return false;
  bool all = true;
  if (t.resend == Resend::fresh) {  // F-RTO, step 2.b
    all = send_unsent(s, budget, held);
    if (!all) return false;
    if (t.snd_nxt == t.transit->recovery_point && !t.paced) t.frto = false;
    if (!t.paced) t.resend = t.frto ? Resend::none : Resend::lost;
  }
  if (t.resend == Resend::lost && !send_lost(s, budget)) return false;
  if (t.resend == Resend::none) all = send_unsent(s, budget, held);
  if (held && t.transit->board.empty() && t.timer != Timer::persist) {
    t.timer = Timer::persist;
    t.timer_at = s.now + t.rto(s.core.config);
    t.progress_at = s.now;
  }
  // Nothing more to send while the window has room: rates measured from here on are the application's.
  if (t.unsent() == 0 && t.transit->board.in_flight() < t.congestion.cwnd() &&
      t.transit->board.lost() <= t.transit->board.again())
    t.rate.app_limited = std::max(t.rate.delivered + t.transit->board.in_flight(), 1u);
  return all;
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
  t.segment_size = static_cast<std::uint16_t>(s.mss);
  choose_sacks(s);
  if (s.sack_count) s.mss -= std::min(4u + 8u * s.sack_count, s.mss - 8);
  const std::uint32_t whole = (ip_packet_max - ip_size - 60) / s.mss;
  s.chunk = s.path.tso && s.path.gather ? s.mss * std::max(whole, 1u) : s.mss;
  if (paces(t, core.config)) {
    const auto tick = static_cast<std::uint32_t>(std::min<std::uint64_t>(pacing_rate(t) / 1000, s.chunk));
    s.chunk = std::max(tick - tick % s.mss, std::min(s.chunk, 2 * s.mss));
  } else if (const std::uint32_t rtt = t.rtt.min_us(); rtt >= 512 && s.chunk > s.mss) {
    // A millisecond's worth of the rate, and more where the way is short, so that a far peer is not sent all that it
    // may have in one piece (Linux: tcp_tso_autosize).
    const std::uint64_t near = rtt >> 9 < 17 ? 65536u >> (rtt >> 9) : 0, size = pacing_rate(t) / 1024 + near;
    s.chunk =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(s.chunk, std::max<std::uint64_t>(size / s.mss, 2) * s.mss));
  }
  if (t.handshake_due && !send_handshake(s)) return true;
  if (t.state < State::established) {
    // A simultaneous open answers the peer's SYN-ACK; everything else waits for the handshake.
    if (t.acks_due && t.state == State::syn_received && send_ack(s, t.snd_nxt)) acknowledged(s);
    t.acks_due = 0;
    return false;
  }

  t.paced = false;
  if (t.probe_due) {
    // An old sequence number without data: whoever gets it must answer (RFC 9293 3.8.4, as Linux).
    t.probe_due = !send_ack(s, t.snd_una - 1);
  }
  const bool more = !send_data(s, budget);
  while (t.acks_due && send_ack(s, t.snd_nxt)) {
    const std::uint8_t left = t.acks_due - 1;
    acknowledged(s);
    t.acks_due = left;
  }
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
