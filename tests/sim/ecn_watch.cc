#include "tests/sim/ecn_watch.h"

#include <cstring>

#include "dataplane/packet/wire/ip4.h"
#include "dataplane/packet/wire/ip6.h"
#include "dataplane/packet/wire/tcp.h"

namespace sluice::sim {

using namespace tcp;

namespace {

constexpr unsigned strikes = 4;

}  // namespace

EcnWatch::Seen EcnWatch::view(const Packet& packet, std::uint16_t ip_at, bool out) {
  Seen s;
  const std::uint8_t* ip = packet.data() + ip_at;
  const bool is4 = ip[0] >> 4 == 4;
  const auto tcp_at = static_cast<std::uint16_t>(ip_at + (is4 ? (ip[0] & 15) * 4 : 40));
  const std::uint32_t ip_size = is4 ? std::uint32_t{packet.at<wire::Ip4>(ip_at).total_length.get()}
                                    : packet.at<wire::Ip6>(ip_at).payload_length.get() + 40u;
  const auto& tcp = packet.at<wire::Tcp>(tcp_at);
  const IpAddress from = is4 ? IpAddress::from_v4_wire(ip + 12) : IpAddress::from_v6_wire(ip + 8);
  const IpAddress to = is4 ? IpAddress::from_v4_wire(ip + 16) : IpAddress::from_v6_wire(ip + 24);
  s.key = out ? Key{from, to, tcp.source.get(), tcp.destination.get(), 0, 0}
              : Key{to, from, tcp.destination.get(), tcp.source.get(), 0, 0};
  s.seq = Seq{tcp.sequence.get()};
  s.ack = Seq{tcp.acknowledgement.get()};
  s.flags = tcp.flags;
  s.ecn = static_cast<EcnField>((is4 ? ip[1] : ip[1] >> 4) & 3);
  s.size = ip_size - (tcp_at - ip_at) - tcp.header_size();
  return s;
}

void EcnWatch::fail(const Seen& s, const char* what) {
  if (!failure_.empty()) return;
  failure_ = std::string{"ECN: "} + what + " (" + std::to_string(s.key.local_port) + " to " +
             std::to_string(s.key.remote_port) + ", seq " + std::to_string(s.seq.value) + ")";
}

// A SYN of a new connection begins anew; one of the same says whether it asks (6.1.1).
void EcnWatch::syn(Connection& c, const Seen& s, bool out) {
  Seq& first = out ? c.first_sent : c.first_received;
  if (!s.has(flag_ack) && first != s.seq) c = {};
  (out ? c.first_sent : c.first_received) = s.seq;
  const bool asks = s.has(flag_ece) && s.has(flag_cwr) == !s.has(flag_ack);
  if (out) {
    (asks ? c.asked : c.plain_sent) = true;
    c.highest = c.window_end = s.seq + 1;
    if (s.ecn != EcnField::not_capable) fail(s, "a SYN says that it is capable");
  } else {
    (asks ? c.was_asked : c.plain_received) = true;
    c.acknowledged = s.seq + 1;
  }
}

EcnWatch::Connection* EcnWatch::find(const Seen& s) {
  std::array<std::uint8_t, 40> key;
  static_assert(sizeof(Key) == sizeof key);
  std::memcpy(key.data(), &s.key, sizeof key);
  if (s.has(flag_syn)) return &connections_[key];
  const auto found = connections_.find(key);
  return found == connections_.end() ? nullptr : &found->second;
}

void EcnWatch::received(const Packet& packet) {
  const Seen s = view(packet, packet.meta().l3_offset, false);
  Connection* c = find(s);
  if (!c) return;
  if (s.has(flag_syn)) return syn(*c, s, false);
  if (!c->asked || !c->was_asked || c->plain_sent || c->plain_received || s.has(flag_rst)) return;
  if (s.size && s.end() > c->acknowledged) {
    if (s.has(flag_cwr)) {
      c->marked = false;
      ++c->reductions;
    }
    if (s.ecn == EcnField::marked) {
      c->marked = true;
      c->marked_end = s.end();
      c->reductions = 0;
    }
  }
  if (!s.has(flag_ack) || s.ack < c->peer_acknowledged || s.ack > c->highest) return;
  c->peer_acknowledged = s.ack;
  if (s.has(flag_ece) && s.ack > c->window_end) {
    ++c->windows;
    c->window_end = c->highest;
  }
}

void EcnWatch::sent(const Packet& packet) {
  const Seen s = view(packet, 0, true);
  Connection* c = find(s);
  if (!c) return;
  if (s.has(flag_syn)) return syn(*c, s, true);
  if (s.has(flag_rst)) return;
  const bool fresh = s.size && s.end() > c->highest, agreed = c->asked && c->was_asked;
  if (s.ecn != EcnField::not_capable) {
    if (!agreed || c->plain_sent) return fail(s, "ECT where it was not agreed on");
    if (!fresh || s.seq < c->highest) return fail(s, "ECT on what is not new data");
  }
  if (s.has(flag_cwr) && !fresh) return fail(s, "CWR on what is not new data");
  if (fresh) {
    c->highest = s.end();
    if (s.has(flag_cwr)) {
      c->windows = 0;
      c->window_end = c->highest;
    } else if (c->windows > 1) {
      return fail(s, "two windows are echoed, and new data has no CWR");
    }
  }
  if (!agreed || c->plain_sent || c->plain_received) return;
  c->acknowledged = later(c->acknowledged, s.ack);
  if (s.has(flag_ece)) {
    c->marked = false;
    c->unechoed = 0;
    if (c->reductions >= strikes) fail(s, "an echo goes on behind CWR");
  } else if (c->marked && s.ack >= c->marked_end) {
    c->marked = false;
    if (++c->unechoed >= strikes) fail(s, "marks are not echoed");
  }
}

}  // namespace sluice::sim
