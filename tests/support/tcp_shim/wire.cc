// Packets in and out: a segment of the stack becomes the bytes of an IP packet and the other way round.
#include <netinet/in.h>

#include <algorithm>

#include "l4/icmp_inner.h"
#include "tests/support/tcp_shim/shim.h"

namespace sluice::shim {

namespace {

constexpr std::size_t ethernet_size = 14;

bool loopback(const IpAddress& address) {
  return address.is_v4() ? address.v4() >> 24 == 127 : address == *parse_ip("::1");
}

struct Tuple {
  Endpoint source, destination;
  std::uint8_t flags = 0;
  std::size_t payload = 0;
};

// The two ends of a TCP segment; false when it is something else.
bool read_tuple(const Bytes& packet, Tuple& out) {
  const bool v4 = packet[0] >> 4 == 4;
  const std::size_t header = v4 ? (packet[0] & 15) * 4u : 40;
  if (packet.size() < header + 20 || packet[v4 ? 9 : 6] != IPPROTO_TCP) return false;
  const std::uint8_t *ip = packet.data(), *tcp = ip + header;
  out.source.address = v4 ? IpAddress::from_v4_wire(ip + 12) : IpAddress::from_v6_wire(ip + 8);
  out.destination.address = v4 ? IpAddress::from_v4_wire(ip + 16) : IpAddress::from_v6_wire(ip + 24);
  out.source.port = static_cast<std::uint16_t>(tcp[0] << 8 | tcp[1]);
  out.destination.port = static_cast<std::uint16_t>(tcp[2] << 8 | tcp[3]);
  out.flags = tcp[13];
  const std::size_t total = v4 ? ip[2] << 8 | ip[3] : 40 + (ip[4] << 8 | ip[5]), all = header + (tcp[12] >> 4) * 4u;
  out.payload = total > all ? total - all : 0;
  return true;
}

IpAddress destination_of(const Bytes& packet) {
  return packet[0] >> 4 == 4 ? IpAddress::from_v4_wire(&packet[16]) : IpAddress::from_v6_wire(&packet[24]);
}

// The packet as a frame in as many buffers as it needs; its headers stand in the first.
Packet frame_of(const Bytes& packet, Buffers& buffers) {
  Packet head = buffers.make();
  if (!head) return {};
  std::uint8_t* at = head.data();
  std::fill_n(at, 12, std::uint8_t{2});
  const bool v4 = packet[0] >> 4 == 4;
  at[12] = v4 ? 0x08 : 0x86;
  at[13] = v4 ? 0x00 : 0xdd;
  std::size_t done = std::min<std::size_t>(packet.size(), buffer_data_size - ethernet_size);
  std::copy_n(packet.data(), done, at + ethernet_size);
  head.get()->data_len = static_cast<std::uint16_t>(ethernet_size + done);
  head.get()->pkt_len = static_cast<std::uint32_t>(ethernet_size + packet.size());
  for (rte_mbuf* tail = head.get(); done < packet.size(); tail = tail->next) {
    Packet next = buffers.make();
    if (!next) return {};
    const std::size_t size = std::min<std::size_t>(packet.size() - done, buffer_data_size);
    std::copy_n(packet.data() + done, size, next.data());
    next.get()->data_len = static_cast<std::uint16_t>(size);
    tail->next = next.release();
    ++head.get()->nb_segs;
    done += size;
  }
  head.meta().port = 0;
  return head;
}

// One frame of a large segment, as a port that cuts makes it: FIN and PSH are the last's, CWR is the first's.
Bytes frame_at(const Bytes& whole, std::size_t ip_size, std::size_t header, std::size_t at, std::size_t size) {
  Bytes out(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(header));
  out.insert(out.end(), whole.begin() + static_cast<std::ptrdiff_t>(at),
             whole.begin() + static_cast<std::ptrdiff_t>(at + size));
  std::uint8_t* tcp = &out[ip_size];
  test::put32(tcp + 4, test::get32(tcp + 4) + static_cast<std::uint32_t>(at - header));
  constexpr int fin = 1, psh = 8, cwr = 128;
  if (at + size < whole.size()) tcp[13] &= static_cast<std::uint8_t>(~(fin | psh));
  if (at > header) tcp[13] &= static_cast<std::uint8_t>(~cwr);
  return out;
}

}  // namespace

tcp::Path Wire::path(const IpAddress&, const IpAddress& remote, tcp::PathCache&) {
  return {shim_.path_to(remote), shim_.options.tso != Options::Tso::off, true};
}

std::uint16_t Shim::path_to(const IpAddress& remote) const {
  return loopback(remote) ? std::uint16_t{65535} : options.mtu;
}

void Wire::send(Packet packet, const IpAddress&, const IpAddress& remote, tcp::PathCache&, Nanos now) {
  Bytes whole;
  for (const rte_mbuf* m = packet.get(); m; m = m->next) {
    const auto* at = rte_pktmbuf_mtod(m, const std::uint8_t*);
    whole.insert(whole.end(), at, at + m->data_len);
  }
  const bool large = packet.get()->ol_flags & RTE_MBUF_F_TX_TCP_SEG;
  const std::size_t size = large ? packet.get()->tso_segsz : whole.size();
  ++shim_.packets_out;
  shim_.count(whole, true, large ? size : 0);
  const auto leave = [&](Bytes bytes) {
    test::fill_checksums(bytes);
    if (loopback(remote) || shim_.ours(remote)) return shim_.looping.push_back(std::move(bytes));
    shim_.sent.push_back({std::move(bytes), now});
  };
  if (!large || shim_.options.tso == Options::Tso::whole) return leave(std::move(whole));
  const std::size_t header = packet.get()->l3_len + packet.get()->l4_len;
  for (std::size_t at = header; at < whole.size(); at += size)
    leave(frame_at(whole, packet.get()->l3_len, header, at, std::min(size, whole.size() - at)));
}

void Shim::count(const Bytes& packet, bool out, std::size_t piece) {
  Tuple t;
  if (!read_tuple(packet, t)) return;
  const auto segments = static_cast<std::uint32_t>(piece ? (t.payload + piece - 1) / piece : 1);
  if (!out) payload_in = t.payload;
  const Endpoint &local = out ? t.source : t.destination, &remote = out ? t.destination : t.source;
  for (const auto& [serial, s] : sockets) {
    if (!s->open || s->local != local || s->remote != remote) continue;
    Traffic& traffic = s->traffic;
    if (out) {
      traffic.segments_out += segments;
      traffic.data_segments_out += t.payload ? segments : 0;
      traffic.data_bytes_out += t.payload;
      if (t.payload) traffic.data_sent = now;
    } else {
      if (std::exchange(s->held, false)) apply_options(*s);  // what MSG_MORE held goes with the next ACK, as in Linux
      ++traffic.segments_in;
      traffic.data_segments_in += t.payload > 0;
      if (t.payload) traffic.data_received = now;
      if (t.flags & 16) {
        traffic.ack_received = now;
        s->soft_error = 0;  // something gets through
      }
    }
    return;
  }
}

void Shim::clock(Socket& s) const {
  using Holds = Traffic::Holds;
  const tcp::Info i = info(s);
  const tcp::SendProgress progress = stack->progress(s.id);
  s.window_max = std::max(s.window_max, i.peer_window);
  const auto unsent = static_cast<std::uint32_t>(progress.queued - progress.transmitted);
  const auto flight = static_cast<std::uint32_t>(progress.transmitted - progress.acknowledged);
  const bool shut = unsent && i.peer_window < flight + std::min<std::uint32_t>(unsent, i.segment_size);
  Traffic& t = s.traffic;
  t.times[static_cast<std::size_t>(t.holds)] += now - t.since;
  t.since = now;
  t.holds = shut                    ? Holds::peer_window
            : s.no_space && !unsent ? Holds::send_buffer
            : unsent || flight      ? Holds::sending
                                    : Holds::nothing;
}

void Shim::input(const Bytes& packet) {
  count(packet, false);
  Packet frame = frame_of(packet, buffers);
  if (!frame || !parse(frame, true, counters) || frame.meta().fragment) {
    ++dropped;
    return;
  }
  if (frame.meta().protocol == Protocol::tcp) return stack->input(std::move(frame), now);
  input_icmp(std::move(frame));
}

// An error about a segment of ours: TCP decides whether to believe it; the socket keeps it as Linux's sk_err_soft.
void Shim::input_icmp(Packet frame) {
  const auto quoted = icmp_inner(frame);
  if (!quoted) {
    ++dropped;
    return;
  }
  const FlowKey key = quoted->key;
  const std::uint64_t before = counters.get(Counter::tcp_icmp_errors);
  stack->input_icmp(std::move(frame), now);
  if (counters.get(Counter::tcp_icmp_errors) == before) {
    ++dropped;
    return;
  }
  for (const auto& [serial, s] : sockets)
    if (s->open && s->local == Endpoint{key.source, key.source_port} &&
        s->remote == Endpoint{key.destination, key.destination_port})
      s->soft_error = error_of(info(*s).unreachable, key.source.is_v4());
}

// As net/ipv4/icmp.c and net/ipv6/icmp.c of Linux turn codes into errno.
int error_of(tcp::Unreachable why, bool v4) {
  switch (why) {
    case tcp::Unreachable::no: return 0;
    case tcp::Unreachable::network: return ENETUNREACH;
    case tcp::Unreachable::host: return EHOSTUNREACH;
    case tcp::Unreachable::protocol: return ENOPROTOOPT;
    case tcp::Unreachable::port: return ECONNREFUSED;
    case tcp::Unreachable::prohibited: return v4 ? EHOSTUNREACH : EACCES;
    case tcp::Unreachable::time_exceeded: return EHOSTUNREACH;
    case tcp::Unreachable::parameter: return EPROTO;
  }
  return EPROTO;
}

int Shim::inject(const std::uint8_t* packet, std::size_t size) {
  if (size > 65535) return fail(EMSGSIZE);
  if (!packet || size < 20 || (packet[0] >> 4 != 4 && (packet[0] >> 4 != 6 || size < 40))) return fail(EINVAL);
  stack->expire(now);
  const Bytes bytes(packet, packet + size);
  if (ours(destination_of(bytes))) {
    input(bytes);
  } else {
    ++dropped;
  }
  changed();
  return 0;
}

}  // namespace sluice::shim
