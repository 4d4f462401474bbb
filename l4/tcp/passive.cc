// Segments that belong to no connection yet, or no longer: LISTEN (RFC 9293 3.10.7.2), SYN-RECEIVED in the SYN cache,
// TIME-WAIT (RFC 6191 for its reuse), CLOSED (3.10.7.1).
#include "l4/tcp/machine.h"

namespace sluice::tcp {

namespace {

constexpr Nanos syn_ack_again = 1_s;  // doubled each time

std::uint32_t ts_at(std::uint32_t offset, Nanos now) { return static_cast<std::uint32_t>(now.millis()) + offset; }

// Two answers a second to what two confused ends could send each other for ever (Linux tcp_invalid_ratelimit).
template <typename Ms>
bool too_soon(Ms& last, Nanos now) {
  const Ms ms = std::max<Ms>(static_cast<Ms>(now.millis()), 1);
  if (last != 0 && static_cast<Ms>(ms - last) < 500) return true;
  last = ms;
  return false;
}

bool older_timestamp(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) < 0; }

}  // namespace

void Stack::Machine::reply(const Reply& r) {
  if (reply_count == replies.size()) {
    core.counters.add(Counter::tcp_resets_suppressed);
    return;
  }
  replies[reply_count++] = r;
}

void Stack::Machine::answer_nobody(const Key& key, const Segment& s, Nanos now) {
  if (s.has(flag_rst)) return;
  if (!core.resets.allow(now)) {
    core.counters.add(Counter::tcp_resets_suppressed);
    return;
  }
  Reply r{key, {}};
  if (s.has(flag_ack)) {
    r.header.seq = s.ack;
    r.header.flags = flag_rst;
  } else {
    r.header.ack = s.end();
    r.header.flags = flag_rst | flag_ack;
  }
  core.counters.add(Counter::tcp_resets_sent);
  reply(r);
}

void Stack::Machine::input_listen(const Key& key, std::uint64_t key_hash, const Segment& s, const Packet& packet,
                                  Nanos now, Seq iss_floor, bool has_floor) {
  // A SYN and nothing else that matters opens; FIN or RST beside it never do.
  const bool opens = (s.flags & (flag_syn | flag_ack | flag_rst | flag_fin)) == flag_syn;
  const auto listener = listeners.find(key.local, key.local_port, packet.meta().port);
  if (!listener || !opens) {
    core.counters.add(Counter::drop_tcp_no_listener);
    // LISTEN drops what has no ACK in silence (fourth); CLOSED answers it.
    if (!listener || s.has(flag_ack)) answer_nobody(key, s, now);
    return;
  }
  if (listeners.full(*listener)) {
    core.counters.add(Counter::tcp_connections_full);
    return;
  }
  if (!core.admits_connections()) {
    core.counters.add(Counter::tcp_admission_refused);  // the peer asks again; perhaps there is room then
    return;
  }
  Handshake h;
  h.key = key;
  h.irs = s.seq;
  h.listener = *listener;
  const Origin origin = this->origin(key, now);
  h.ts_offset = origin.timestamps;
  h.timestamps = core.config.timestamps && s.options.has_timestamps;
  h.ts_recent = s.options.ts_value;
  h.sack = core.config.sack && s.options.sack_permitted;
  // RFC 3168 6.1.1: ECE and CWR ask for it. A SYN that is itself marked capable is none of that RFC's.
  h.ecn = core.config.ecn != Ecn::off && s.has(flag_ece) && s.has(flag_cwr) && s.ecn == EcnField::not_capable;
  h.scaled = core.config.window_scaling && s.options.has_window_scale;
  h.snd_scale = s.options.window_scale;
  h.settings = listeners.settings(*listener);
  h.rcv_scale = h.scaled ? receive_scale(h.settings) : 0;
  h.mss = s.options.has_mss ? s.options.mss : 0;
  // Behind a TIME-WAIT the number must be above those of before, which no cookie can promise.
  const bool was_on = cookie_gate.on();
  const bool cookie = cookie_gate.syn(handshake_count, now);
  if (cookie && !was_on) core.counters.add(Counter::tcp_syn_cookie_spells);
  if (cookie && !has_floor) return answer_by_cookie(h, now);
  h.iss = origin.sequence;
  if (has_floor && h.iss <= iss_floor) h.iss = iss_floor + 65537;
  h.began = now;
  remember(h, key_hash, now);
}

void Stack::Machine::remember(const Handshake& entry, std::uint64_t key_hash, Nanos now) {
  if (handshakes.left() == 0) {
    if (oldest_handshake == no_slot) return;
    core.counters.add(Counter::tcp_handshakes_evicted);
    drop_handshake(oldest_handshake);
  }
  const std::uint32_t index = handshakes.take();
  if (!table.insert(key_hash, value_of(Kind::handshake, index))) {
    handshakes.give(index);
    core.counters.add(Counter::tcp_connections_full);
    return;
  }
  Handshake& h = handshakes[index];
  h = entry;
  h.previous = newest_handshake;
  (newest_handshake == no_slot ? oldest_handshake : handshakes[newest_handshake].next) = index;
  newest_handshake = index;
  ++handshake_count;
  wheel.arm(core.config.connections + index, now + syn_ack_again);
  answer_handshake(h, now);
}

Reply Stack::Machine::syn_ack(const Handshake& h, Nanos now) const {
  Reply r{h.key, {}};
  r.header.seq = h.iss;
  r.header.ack = h.irs + 1;
  r.header.flags = static_cast<std::uint8_t>(flag_syn | flag_ack | (h.ecn ? flag_ece : 0));
  r.header.window = syn_window(core.settings[h.settings]);
  r.header.has_mss = true;
  r.header.mss = core.settings[h.settings].mss_max;
  r.header.sack_permitted = h.sack;
  r.header.has_timestamps = h.timestamps;
  r.header.ts_value = ts_at(h.ts_offset, now);
  r.header.ts_echo = h.ts_recent;
  r.header.has_window_scale = h.scaled;
  r.header.window_scale = h.rcv_scale;
  return r;
}

void Stack::Machine::answer_handshake(const Handshake& h, Nanos now) { reply(syn_ack(h, now)); }

void Stack::Machine::drop_handshake(std::uint32_t index) {
  Handshake& h = handshakes[index];
  table.erase(hash(h.key), value_of(Kind::handshake, index));
  (h.previous == no_slot ? oldest_handshake : handshakes[h.previous].next) = h.next;
  (h.next == no_slot ? newest_handshake : handshakes[h.next].previous) = h.previous;
  wheel.cancel(core.config.connections + index);
  handshakes.give(index);
  --handshake_count;
}

void Stack::Machine::handshake_expired(std::uint32_t index, Nanos now) {
  Handshake& h = handshakes[index];
  if (now - h.began >= core.config.handshake_timeout) {
    core.counters.add(Counter::tcp_handshakes_expired);
    return drop_handshake(index);
  }
  ++h.tries;
  wheel.arm(core.config.connections + index,
            std::min(now + syn_ack_again * (1 << std::min<int>(h.tries, 6)), h.began + core.config.handshake_timeout));
  answer_handshake(h, now);
}

void Stack::Machine::challenge(Handshake& h, Nanos now) {
  if (too_soon(h.answered_ms, now) || !core.challenges.allow(now)) return;
  core.counters.add(Counter::tcp_challenge_acks);
  Reply r{h.key, {}};
  r.header.seq = h.iss + 1;
  r.header.ack = h.irs + 1;
  r.header.flags = flag_ack;
  r.header.window = static_cast<std::uint16_t>(syn_window(core.settings[h.settings]) >> h.rcv_scale);
  r.header.has_timestamps = h.timestamps;
  r.header.ts_value = ts_at(h.ts_offset, now);
  r.header.ts_echo = h.ts_recent;
  reply(r);
}

// Whole: the steps of SYN-RECEIVED in the order of RFC 9293 3.10.7.4.
void Stack::Machine::input_handshake(std::uint32_t index, const Segment& s, Packet packet, std::uint64_t key_hash,
                                     Nanos now) {
  Handshake& h = handshakes[index];
  const std::int32_t offset = s.seq - (h.irs + 1);
  const bool in_window = offset >= 0 && offset <= syn_window(core.settings[h.settings]);
  if (s.has(flag_rst)) {
    if (offset == 0) drop_handshake(index);
    else if (in_window) challenge(h, now);  // RFC 5961 3.2
    return;
  }
  if (s.has(flag_syn)) {
    if (!s.has(flag_ack) && s.seq == h.irs) {
      // The same SYN again: our answer was lost.
      if (h.timestamps && s.options.has_timestamps && !older_timestamp(s.options.ts_value, h.ts_recent))
        h.ts_recent = s.options.ts_value;
      if (!too_soon(h.answered_ms, now)) answer_handshake(h, now);
      return;
    }
    return challenge(h, now);  // RFC 5961 4.2
  }
  if (!s.has(flag_ack)) return;
  if (s.ack != h.iss + 1) return answer_nobody(h.key, s, now);
  if (h.timestamps && !s.options.has_timestamps) {
    core.counters.add(Counter::drop_tcp_no_timestamp);
    return;
  }
  if (h.timestamps && older_timestamp(s.options.ts_value, h.ts_recent)) {
    core.counters.add(Counter::drop_tcp_paws);
    return challenge(h, now);  // RFC 7323 5.3
  }
  if (!in_window && !(offset < 0 && s.end() > h.irs + 1)) {
    core.counters.add(Counter::drop_tcp_out_of_window);
    return challenge(h, now);
  }
  if (connections.full() || listeners.full(h.listener)) {
    core.counters.add(Counter::tcp_connections_full);  // the peer sends again; the entry waits for its time
    return;
  }
  const Handshake entry = h;
  (entry.previous == no_slot ? oldest_handshake : handshakes[entry.previous].next) = entry.next;
  (entry.next == no_slot ? newest_handshake : handshakes[entry.next].previous) = entry.previous;
  wheel.cancel(core.config.connections + index);
  handshakes.give(index);
  --handshake_count;
  accept(entry, key_hash, value_of(Kind::handshake, index), s, std::move(packet), now);
}

void Stack::Machine::accept(const Handshake& entry, std::uint64_t key_hash, std::uint32_t replaces, const Segment& s,
                            Packet packet, Nanos now) {
  Tcb* t = make(entry.key, key_hash, replaces, now);
  if (!t) return;
  cookie_gate.completed();
  t->state = State::syn_received;
  t->passive = true;
  t->listener = entry.listener;
  t->snd_una = entry.iss;
  t->snd_nxt = entry.iss + 1;
  t->start_queue(t->snd_nxt);
  t->rcv_nxt = entry.irs + 1;
  t->settings = entry.settings;
  t->rcv_edge = t->rcv_nxt + syn_window(core.settings[entry.settings]);
  t->last_ack_sent = t->rcv_nxt;
  t->ts_offset = entry.ts_offset;
  t->rcv_scale = entry.rcv_scale;
  t->ecn = entry.ecn;
  if (t->ecn) core.counters.add(Counter::tcp_ecn_connections);
  Options options;
  options.has_mss = true;
  options.mss = entry.mss;
  options.sack_permitted = entry.sack;
  options.has_timestamps = entry.timestamps;
  options.ts_value = entry.ts_recent;
  options.has_window_scale = entry.scaled;
  options.window_scale = entry.snd_scale;
  accept_options(*t, options, core, now);
  t->back_off = entry.tries;  // no RTT from a handshake that was sent twice (Karn)
  t->progress_at = entry.began;
  const Verdict verdict = tcp::input(*t, s, std::move(packet), core, now);
  act(*t, verdict, &s, now);
}

void Stack::Machine::enter_time_wait(Tcb& t, Nanos now) {
  // The ACK of the peer's FIN, unless it was sent in CLOSING.
  Reply r{t.key, {}};
  r.header.seq = t.snd_nxt;
  r.header.ack = t.rcv_nxt;
  r.header.flags = flag_ack;
  r.header.window = static_cast<std::uint16_t>(std::min(t.window() >> t.rcv_scale, 65535u));
  r.header.has_timestamps = t.timestamps;
  r.header.ts_value = t.ts_now(now);
  r.header.ts_echo = t.ts_recent;
  if (t.acks_due) reply(r);
  const std::uint64_t key_hash = hash(t.key);
  if (time_waits.full() && time_waits.oldest() != no_slot) {
    core.counters.add(Counter::tcp_time_wait_recycled);
    drop_time_wait(time_waits.oldest());
  }
  TimeWait entry{};
  entry.key = t.key;
  entry.snd_nxt = t.snd_nxt;
  entry.rcv_nxt = t.rcv_nxt;
  entry.ts_recent = t.ts_recent;
  entry.timestamps = t.timestamps;
  const std::uint32_t index = time_waits.add(entry, now + core.config.time_wait);
  if (index != no_slot && t.in_table) {
    table.replace(key_hash, value_of(Kind::connection, index_of(t)), value_of(Kind::time_wait, index));
    t.in_table = false;
  }
  close(t, 0, core);
}

void Stack::Machine::drop_time_wait(std::uint32_t index) {
  table.erase(hash(time_waits[index].key), value_of(Kind::time_wait, index));
  time_waits.remove(index);
  // The next to go, a minute after its last segment: its place in the table is far away.
  if (time_waits.oldest() != no_slot) table.prefetch(hash(time_waits[time_waits.oldest()].key));
}

void Stack::Machine::input_time_wait(std::uint32_t index, const Segment& s, const Packet& packet,
                                     std::uint64_t key_hash, Nanos now) {
  TimeWait& w = time_waits[index];
  if (s.has(flag_rst)) {
    if (s.seq == w.rcv_nxt) drop_time_wait(index);
    return;
  }
  const bool timestamped = w.timestamps && s.options.has_timestamps;
  if (s.has(flag_syn) && !s.has(flag_ack)) {
    // RFC 6191: a SYN that cannot be an old duplicate opens anew, with an ISN above what the old connection used.
    // Of the same moment the number decides.
    const bool newer = timestamped && s.options.ts_value != w.ts_recent
                           ? older_timestamp(w.ts_recent, s.options.ts_value)
                           : s.seq > w.rcv_nxt;
    if (newer && listeners.find(w.key.local, w.key.local_port, packet.meta().port)) {
      const Key key = w.key;
      const Seq floor = w.snd_nxt;
      core.counters.add(Counter::tcp_time_wait_reused);
      drop_time_wait(index);
      return input_listen(key, key_hash, s, packet, now, floor, true);
    }
  } else if (s.seq == w.rcv_nxt && s.length() == 0) {
    return;  // a last ACK
  }
  if (s.has(flag_fin)) time_waits.restart(index, now + core.config.time_wait);  // our ACK was lost
  if (s.length() == 0 || s.has(flag_syn)) {
    auto& answered = time_wait_answered_ms[index % time_wait_answered_ms.size()];
    if (too_soon(answered, now)) return;
  }
  if (!core.challenges.allow(now)) return;
  Reply r{w.key, {}};
  r.header.seq = w.snd_nxt;
  r.header.ack = w.rcv_nxt;
  r.header.flags = flag_ack;
  r.header.has_timestamps = w.timestamps;
  r.header.ts_value = ts_at(origin(w.key, now).timestamps, now);
  r.header.ts_echo = w.ts_recent;
  reply(r);
}

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/input_slow_test.cc.
