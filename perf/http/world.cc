#include "perf/http/world.h"

#include <fmt/format.h>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/wire/arp.h"
#include "dataplane/packet/wire/ip4.h"
#include "dataplane/packet/wire/tcp.h"

namespace sluice::perf {

namespace {

constexpr std::uint16_t none = 0xffff;
constexpr std::size_t ip_at = sizeof(wire::Ethernet), tcp_at = ip_at + sizeof(wire::Ip4), frame_min = 60;
constexpr MacAddress client_mac{{0x02, 0, 0, 0, 0, 0x32}}, backend_mac{{0x02, 0, 0, 0, 0, 0x65}};
constexpr std::size_t backend_ends = 4096;

std::uint64_t hash_of(std::string_view text) {  // FNV-1a
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
  return hash;
}

// The value of a field of a head whose names are in lower case or written as usual; empty when it is not there.
std::string_view field(std::string_view head, std::string_view name) {
  for (std::size_t at = head.find("\r\n"); at != head.npos && at + 2 < head.size();) {
    const std::size_t start = at + 2, end = head.find("\r\n", start);
    const std::string_view line = head.substr(start, end - start);
    if (line.size() > name.size() && line[name.size()] == ':' &&
        strncasecmp(line.data(), name.data(), name.size()) == 0) {
      const std::size_t value = line.find_first_not_of(' ', name.size() + 1);
      return value == line.npos ? std::string_view{} : line.substr(value);
    }
    at = end;
  }
  return {};
}

// The timestamp of a segment's options, or nothing.
std::optional<std::uint32_t> stamp_of(ByteView options) {
  for (std::size_t at = 0; at < options.size() && options[at] != 0;) {
    if (options[at] == 1) {
      ++at;
      continue;
    }
    if (at + 1 >= options.size() || options[at + 1] < 2 || at + options[at + 1] > options.size()) return std::nullopt;
    if (options[at] == 8 && options[at + 1] == 10) {
      Be32 value;
      std::memcpy(&value, &options[at + 2], 4);
      return value.get();
    }
    at += options[at + 1];
  }
  return std::nullopt;
}

}  // namespace

HttpWorld::HttpWorld(const HttpWorldSpec& spec, Buffers& buffers)
    : spec_(spec),
      buffers_(buffers),
      request_(
          fmt::format("GET / HTTP/1.1\r\nHost: bench.example\r\n{}\r\n", spec.close ? "Connection: close\r\n" : "")),
      ends_(spec.connections + backend_ends),
      by_client_port_(65536, none),
      by_peer_port_(65536, none) {
  for (std::uint32_t i = 0; i < spec.body; ++i) body_ += static_cast<char>('a' + i % 26);
  // What nginx answers for `return 200 "..."`.
  answer_ = fmt::format(
      "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\n"
      "Content-Length: {}\r\nConnection: keep-alive\r\n\r\n{}",
      spec.body, body_);
  caps_ = {.mac = node_mac,
           .mtu = 1500,
           .queues = 1,
           .rss = false,
           .tx_ip4_checksum = spec.hardware_checksums,
           .tx_l4_checksum = spec.hardware_checksums,
           .rx_checksum = spec.hardware_checksums,
           .tso = false,
           .multi_segment = true,
           .shared_buffers = true};
  inbox_.reserve(16'384);
  outbox_.reserve(16'384);
  for (std::uint32_t i = 0; i < spec.connections; ++i) ends_[i].is_client = true;
}

HttpWorld::~HttpWorld() {
  for (rte_mbuf* frame : inbox_) free_buffers(frame);
  for (; outbox_head_ < outbox_.size(); ++outbox_head_) free_buffers(outbox_[outbox_head_]);
}

std::uint16_t HttpWorld::receive(std::uint16_t, std::span<rte_mbuf*> out, Nanos) {
  std::uint16_t n = 0;
  while (n < out.size() && outbox_head_ < outbox_.size()) out[n++] = outbox_[outbox_head_++];
  return n;
}

std::uint16_t HttpWorld::transmit(std::uint16_t, std::span<rte_mbuf*> frames, Nanos) {
  const std::size_t n = std::min(frames.size(), inbox_.capacity() - inbox_.size());
  for (rte_mbuf* frame : frames.first(n)) inbox_.push_back(frame);
  return static_cast<std::uint16_t>(n);
}

void HttpWorld::offer(std::uint64_t requests) {
  asked_ = answered_;
  wanted_ = answered_ + requests;
  for (std::uint32_t i = 0; i < spec_.connections && asked_ < wanted_; ++i) {
    if (ends_[i].state == State::closed) open(ends_[i]);
    else if (ends_[i].state == State::open && !ends_[i].waiting && !spec_.close) ask(ends_[i]);
  }
}

void HttpWorld::react(Nanos now) {
  now_ms_ = static_cast<std::uint32_t>(now.millis());
  outbox_.erase(outbox_.begin(), outbox_.begin() + static_cast<std::ptrdiff_t>(outbox_head_));
  outbox_head_ = 0;
  for (rte_mbuf* frame : inbox_) {
    ++frames_in_;
    read(frame);
    free_buffers(frame);
  }
  inbox_.clear();
}

bool HttpWorld::read_checksums(const rte_mbuf* frame, ByteView bytes) {
  const auto& ip = *reinterpret_cast<const wire::Ip4*>(bytes.data() + ip_at);
  const auto& tcp = *reinterpret_cast<const wire::Tcp*>(bytes.data() + tcp_at);
  const std::uint32_t size = ip.total_length.get() - sizeof ip;
  const Sum pseudo = add_pseudo_header(0, ip.source_address(), ip.destination_address(), Protocol::tcp, size);
  const bool ip_good = (frame->ol_flags & RTE_MBUF_F_TX_IP_CKSUM && spec_.hardware_checksums) ||
                       fold(add_bytes(0, bytes.subspan(ip_at, sizeof ip))) == 0xffff;
  if ((frame->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_TCP_CKSUM && spec_.hardware_checksums)
    return ip_good && tcp.checksum.raw() == fold(pseudo);
  return ip_good && fold(add_bytes(pseudo, bytes.subspan(tcp_at, size))) == 0xffff;
}

void HttpWorld::read(const rte_mbuf* frame) {
  std::array<std::uint8_t, 2048> space;
  if (frame->pkt_len > space.size() || frame->pkt_len < 42) return fail("a frame of a wrong size");
  std::size_t size = 0;
  for (const rte_mbuf* segment = frame; segment; segment = segment->next) {
    std::memcpy(&space[size], rte_pktmbuf_mtod(segment, const void*), segment->data_len);
    size += segment->data_len;
  }
  const ByteView bytes{space.data(), size};
  const auto& ethernet = *reinterpret_cast<const wire::Ethernet*>(space.data());
  if (ethernet.type.get() == static_cast<std::uint16_t>(wire::EtherType::arp)) return answer_arp(bytes);
  const auto& ip = *reinterpret_cast<const wire::Ip4*>(&space[ip_at]);
  if (ethernet.type.get() != static_cast<std::uint16_t>(wire::EtherType::ip4) || ip.protocol != 6) return;
  const auto& tcp = *reinterpret_cast<const wire::Tcp*>(&space[tcp_at]);
  if (ip_at + ip.total_length.get() > size || tcp_at + tcp.header_size() > size) return fail("a cut packet");
  if (!read_checksums(frame, bytes)) return fail("a wrong checksum");
  const bool to_client = ip.destination.get() == client;
  if (!to_client && ip.destination.get() != backend) return fail("a packet for nobody");
  if (ethernet.destination != (to_client ? client_mac : backend_mac) || ethernet.source != node_mac)
    return fail("a wrong MAC address");
  const std::size_t data_at = tcp_at + tcp.header_size();
  const auto stamp = stamp_of(bytes.subspan(tcp_at + sizeof tcp, tcp.header_size() - sizeof tcp));
  if (!stamp && !(tcp.flags & wire::Tcp::rst)) return fail("no timestamp");
  const Segment segment{tcp.sequence.get(),
                        tcp.acknowledgement.get(),
                        stamp.value_or(0),
                        tcp.flags,
                        {reinterpret_cast<const char*>(&space[data_at]), ip_at + ip.total_length.get() - data_at}};
  std::uint16_t& place = to_client ? by_client_port_[tcp.destination.get()] : by_peer_port_[tcp.source.get()];
  if (!to_client && (segment.flags & wire::Tcp::syn) && place == none) {
    std::size_t free = spec_.connections;
    while (free < ends_.size() && ends_[free].state != State::closed) ++free;
    if (free == ends_.size()) return fail("too many connections to the backend");
    place = static_cast<std::uint16_t>(free);
    End& end = ends_[free];
    end.port = backend_port;
    end.peer_port = tcp.source.get();
    end.state = State::opening;
    end.next = sequence_ += 64'000;
    end.have = 0;
  }
  if (place == none) return;  // the last words of a connection that is over here
  segment_for(ends_[place], segment);
}

void HttpWorld::segment_for(End& end, const Segment& segment) {
  if (segment.flags & wire::Tcp::rst) return fail("a reset");
  end.stamp = segment.stamp;
  if (segment.flags & wire::Tcp::syn) {
    if (end.state != State::opening) return void(++repeated_);
    end.expected = segment.sequence + 1;
    if (end.is_client) {
      end.state = State::open;
      end.waiting = true;
      return send(end, wire::Tcp::psh | wire::Tcp::ack, request_);
    }
    return send(end, wire::Tcp::syn | wire::Tcp::ack, {});
  }
  if (!end.is_client && end.state == State::opening) end.state = State::open;
  if (segment.payload.empty() && !(segment.flags & wire::Tcp::fin)) return;
  if (static_cast<std::int32_t>(segment.sequence - end.expected) < 0) {  // sent again
    ++repeated_;
    return send(end, wire::Tcp::ack, {});
  }
  if (segment.sequence != end.expected) return fail("data out of order");
  end.expected += static_cast<std::uint32_t>(segment.payload.size());
  if (end.have + segment.payload.size() > end.data.size()) return fail("more data than a message has");
  std::memcpy(&end.data[end.have], segment.payload.data(), segment.payload.size());
  end.have += static_cast<std::uint32_t>(segment.payload.size());
  if (end.have > 0) end.is_client ? client_data(end) : backend_data(end);
  if (!(segment.flags & wire::Tcp::fin)) return;
  ++end.expected;
  if (end.is_client && (end.waiting || !spec_.close)) return fail("the proxy closed a client's connection");
  send(end, wire::Tcp::fin | wire::Tcp::ack, {});
  end.state = State::closed;
  (end.is_client ? by_client_port_[end.port] : by_peer_port_[end.peer_port]) = none;
  if (end.is_client && asked_ < wanted_) open(end);
}

void HttpWorld::client_data(End& end) {
  const std::string_view text{end.data.data(), end.have};
  const std::size_t head = text.find("\r\n\r\n");
  if (head == text.npos || text.size() < head + 4 + spec_.body) return;
  const std::string_view body = text.substr(head + 4);
  if (!end.waiting) return fail("an answer to no request");
  if (!text.starts_with("HTTP/1.1 200")) return fail("a wrong status");
  if (field(text.substr(0, head + 2), "content-length") != std::to_string(spec_.body)) return fail("a wrong length");
  if (body != body_) return fail("a wrong body");
  body_hash_ += hash_of(body);
  ++answered_;
  end.have = 0;
  end.waiting = false;
  if (!spec_.close && asked_ < wanted_) ask(end);
}

void HttpWorld::backend_data(End& end) {
  const std::string_view text{end.data.data(), end.have};
  const std::size_t head = text.find("\r\n\r\n");
  if (head == text.npos) return;
  const std::string_view fields = text.substr(0, head + 2);
  if (text.size() != head + 4) return fail("more than one request at a time at the backend");
  if (!text.starts_with("GET / HTTP/1.1\r\n") || field(fields, "host") != "bench.example")
    return fail("a wrong request");
  if (field(fields, "x-forwarded-for") != "192.0.2.50" || field(fields, "x-forwarded-proto") != "http" ||
      field(fields, "x-request-id").empty())
    return fail("fields that the proxy adds are missing");
  end.have = 0;
  send(end, wire::Tcp::psh | wire::Tcp::ack, answer_);
}

// A connection is opened for the sake of a request.
void HttpWorld::open(End& end) {
  ++asked_;
  do {
    end.port = next_port_;
    next_port_ = next_port_ == source_high ? source_low : static_cast<std::uint16_t>(next_port_ + 1);
  } while (by_client_port_[end.port] != none);
  by_client_port_[end.port] = static_cast<std::uint16_t>(&end - ends_.data());
  end.peer_port = vip_port;
  end.state = State::opening;
  end.next = sequence_ += 64'000;
  end.have = end.stamp = 0;
  end.expected = 0;
  end.waiting = false;
  send(end, wire::Tcp::syn, {});
}

void HttpWorld::ask(End& end) {
  ++asked_;
  end.waiting = true;
  send(end, wire::Tcp::psh | wire::Tcp::ack, request_);
}

void HttpWorld::send(End& end, std::uint8_t flags, std::string_view payload) {
  const bool syn = flags & wire::Tcp::syn;
  // Linux's SYN: MSS 1460, SACK permitted, timestamps, window scale 7; then timestamps alone.
  const std::size_t header = sizeof(wire::Tcp) + (syn ? 20 : 12);
  const std::size_t size = tcp_at + header + payload.size();
  Packet packet = buffers_.make();
  if (!packet || outbox_.size() == outbox_.capacity()) return fail("the generator has no buffer");
  auto* at = reinterpret_cast<std::uint8_t*>(
      rte_pktmbuf_append(packet.get(), static_cast<std::uint16_t>(std::max(size, frame_min))));
  std::memset(at, 0, std::max(std::min<std::size_t>(size, tcp_at + 40), frame_min));
  new (at) wire::Ethernet{node_mac, end.is_client ? client_mac : backend_mac,
                          Be16{static_cast<std::uint16_t>(wire::EtherType::ip4)}};
  auto& ip = *new (at + ip_at) wire::Ip4{};
  ip.version_ihl = 0x45;
  ip.total_length = Be16{static_cast<std::uint16_t>(size - ip_at)};
  ip.fragment = Be16{wire::Ip4::dont_fragment};
  ip.ttl = 64;
  ip.protocol = 6;
  ip.source = Be32{end.is_client ? client : backend};
  ip.destination = Be32{end.is_client ? vip : node};
  auto& tcp = *new (at + tcp_at) wire::Tcp{};
  tcp.source = Be16{end.port};
  tcp.destination = Be16{end.peer_port};
  tcp.sequence = Be32{end.next};
  tcp.acknowledgement = Be32{flags & wire::Tcp::ack ? end.expected : 0};
  tcp.offset = static_cast<std::uint8_t>(header / 4 << 4);
  tcp.flags = flags;
  tcp.window = Be16{static_cast<std::uint16_t>(syn ? 64'240 : 502)};
  std::uint8_t* options = at + tcp_at + sizeof tcp;
  const std::uint8_t syn_options[] = {2, 4, 0x05, 0xb4, 4, 2}, window_scale[] = {1, 3, 3, 7};
  if (syn) {
    std::memcpy(options, syn_options, sizeof syn_options);
    std::memcpy(options + 16, window_scale, sizeof window_scale);
    options += sizeof syn_options;
  } else {
    options[0] = options[1] = 1;
    options += 2;
  }
  options[0] = 8, options[1] = 10;
  const Be32 stamps[] = {Be32{now_ms_}, Be32{end.stamp}};
  std::memcpy(options + 2, stamps, sizeof stamps);
  std::memcpy(at + tcp_at + header, payload.data(), payload.size());
  if (spec_.hardware_checksums) {
    packet.get()->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
  } else {
    ip.checksum = checksum(add_bytes(0, {at + ip_at, sizeof ip}));
    const auto l4_size = static_cast<std::uint32_t>(size - tcp_at);
    const Sum pseudo = add_pseudo_header(0, ip.source_address(), ip.destination_address(), Protocol::tcp, l4_size);
    tcp.checksum = checksum(add_bytes(pseudo, {at + tcp_at, l4_size}));
  }
  end.next += static_cast<std::uint32_t>(payload.size()) + (syn || flags & wire::Tcp::fin ? 1 : 0);
  ++frames_out_;
  outbox_.push_back(packet.release());
}

void HttpWorld::answer_arp(ByteView bytes) {
  const auto& arp = *reinterpret_cast<const wire::Arp*>(bytes.data() + sizeof(wire::Ethernet));
  const std::uint32_t target = arp.target.get();
  if (arp.operation.get() != wire::Arp::request || (target != client && target != backend)) return;
  Packet packet = buffers_.make();
  if (!packet || outbox_.size() == outbox_.capacity()) return fail("the generator has no buffer");
  const MacAddress mac = target == client ? client_mac : backend_mac;
  auto* at = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(packet.get(), frame_min));
  std::memset(at, 0, frame_min);
  new (at) wire::Ethernet{arp.sender_mac, mac, Be16{static_cast<std::uint16_t>(wire::EtherType::arp)}};
  new (at + sizeof(wire::Ethernet)) wire::Arp{
      arp.hardware_type, arp.protocol_type, 6, 4, Be16{wire::Arp::reply}, mac, arp.target, arp.sender_mac, arp.sender};
  outbox_.push_back(packet.release());
}

}  // namespace sluice::perf
