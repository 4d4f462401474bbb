// Segments that no connection, handshake or TIME-WAIT entry is there for: SYNs to listeners, ACKs of SYN cookies, and
// the rest.
#include "l4/tcp/machine.h"

namespace sluice::tcp {

void Stack::Machine::input_nobody(const Key& key, std::uint64_t key_hash, const Segment& s, Packet packet, Nanos now) {
  const bool acks = (s.flags & (flag_syn | flag_ack | flag_rst)) == flag_ack;
  if (acks && cookie_gate.out(now)) {
    const auto listener = listeners.find(key.local, key.local_port, packet.meta().port);
    if (listener && input_cookie(key, key_hash, s, packet, *listener, now)) return;
    // Perhaps what follows the data that brings the cookie back, which was overtaken or did not fit the path: a RST
    // would end what opens when that comes again.
    if (listener && s.size) return;
  }
  input_listen(key, key_hash, s, packet, now, {}, false);
}

void Stack::Machine::answer_by_cookie(const Handshake& h, Nanos now) {
  Handshake cookie = h;
  const std::uint16_t unsaid = h.key.local.is_v4() ? 536 : 1220;  // RFC 9293 3.7.1
  cookie.iss = cookies.make(h.key, h.irs, h.mss ? h.mss : unsaid, now);
  if (!cookie.timestamps) {
    cookie.sack = cookie.scaled = cookie.ecn = false;
    cookie.rcv_scale = 0;
  }
  cookie_gate.sent(now);
  core.counters.add(Counter::tcp_syn_cookies_sent);
  Reply r = syn_ack(cookie, now);
  if (cookie.timestamps) {
    const CookieOptions options{.scaled = h.scaled, .snd_scale = h.snd_scale, .sack = h.sack, .ecn = h.ecn};
    r.header.ts_value = options.put(r.header.ts_value);
  }
  reply(r);
}

bool Stack::Machine::input_cookie(const Key& key, std::uint64_t key_hash, const Segment& s, Packet& packet,
                                  ListenerId listener, Nanos now) {
  Handshake h;
  h.key = key;
  h.irs = s.seq - 1;
  h.iss = s.ack - 1;
  const auto mss = cookies.check(key, h.irs, h.iss, now);
  h.timestamps = core.config.timestamps && s.options.has_timestamps;
  const auto options = h.timestamps ? CookieOptions::take(s.options.ts_echo) : CookieOptions{};
  if (!mss || !options) {
    core.counters.add(Counter::tcp_syn_cookies_rejected);
    return false;
  }
  if (connections.full() || listeners.full(listener)) {
    core.counters.add(Counter::tcp_connections_full);  // the peer sends its data again
    return true;
  }
  h.listener = listener;
  h.settings = listeners.settings(listener);
  h.mss = *mss;
  h.ts_offset = origin(key, now).timestamps;
  h.ts_recent = s.options.ts_value;
  h.scaled = options->scaled;
  h.snd_scale = options->snd_scale;
  h.sack = options->sack && core.config.sack;
  h.ecn = options->ecn && core.config.ecn != Ecn::off;
  h.rcv_scale = h.scaled ? receive_scale(h.settings) : 0;
  h.tries = 1;  // when the SYN-ACK left is not known
  h.began = now;
  core.counters.add(Counter::tcp_syn_cookies_accepted);
  accept(h, key_hash, KeyTable::none, s, std::move(packet), now);
  return true;
}

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/cookie_test.cc.
