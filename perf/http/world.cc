#include "perf/http/world.h"

#include <fmt/format.h>

#include "perf/world/head.h"

namespace sluice::perf {

namespace {

using wire::Tcp;

constexpr std::uint16_t none = 0xffff;
constexpr MacAddress client_mac{{0x02, 0, 0, 0, 0, 0x32}}, backend_mac{{0x02, 0, 0, 0, 0, 0x65}};
constexpr std::size_t backend_ends = 4096;

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

void HttpWorld::read(const rte_mbuf* frame) {
  const auto segment = read_segment(frame, spec_.hardware_checksums);
  if (!segment) {
    if (segment.error() != Unread::not_tcp) return fail(to_text(segment.error()));
    const std::uint32_t asked = arp_asks_for(frame);
    if (asked != client && asked != backend) return;
    Packet answer = answer_arp(buffers_, frame, asked == client ? client_mac : backend_mac);
    if (!answer || outbox_.size() == outbox_.capacity()) return fail("the generator has no buffer");
    return outbox_.push_back(answer.release());
  }
  const bool to_client = segment->to == client;
  if (!to_client && segment->to != backend) return fail("a packet for nobody");
  if (segment->to_mac != (to_client ? client_mac : backend_mac) || segment->from_mac != node_mac)
    return fail("a wrong MAC address");
  std::uint16_t& place = to_client ? by_client_port_[segment->to_port] : by_peer_port_[segment->from_port];
  if (!to_client && segment->has(Tcp::syn) && place == none) {
    std::size_t free = spec_.connections;
    while (free < ends_.size() && ends_[free].state != State::closed) ++free;
    if (free == ends_.size()) return fail("too many connections to the backend");
    place = static_cast<std::uint16_t>(free);
    End& end = ends_[free];
    end.port = backend_port;
    end.peer_port = segment->from_port;
    end.state = State::opening;
    end.next = sequence_ += 64'000;
    end.have = 0;
  }
  if (place == none) return;  // the last words of a connection that is over here
  segment_for(ends_[place], *segment);
}

void HttpWorld::segment_for(End& end, const SegmentIn& segment) {
  if (segment.has(Tcp::rst)) return fail("a reset");
  end.stamp = segment.stamp;
  if (segment.has(Tcp::syn)) {
    if (end.state != State::opening) return void(++repeated_);
    end.expected = segment.sequence + 1;
    if (end.is_client) {
      end.state = State::open;
      end.waiting = true;
      return send(end, Tcp::psh | Tcp::ack, request_);
    }
    return send(end, Tcp::syn | Tcp::ack, {});
  }
  if (!end.is_client && end.state == State::opening) end.state = State::open;
  if (!segment.payload_size && !segment.has(Tcp::fin)) return;
  if (static_cast<std::int32_t>(segment.sequence - end.expected) < 0) {  // sent again
    ++repeated_;
    return send(end, Tcp::ack, {});
  }
  if (segment.sequence != end.expected) return fail("data out of order");
  end.expected += segment.payload_size;
  if (end.have + segment.payload_size > end.data.size()) return fail("more data than a message has");
  segment.each_piece([&end](std::string_view piece) {
    std::memcpy(&end.data[end.have], piece.data(), piece.size());
    end.have += static_cast<std::uint32_t>(piece.size());
    return true;
  });
  if (end.have > 0) end.is_client ? client_data(end) : backend_data(end);
  if (!segment.has(Tcp::fin)) return;
  ++end.expected;
  if (end.is_client && (end.waiting || !spec_.close)) return fail("the proxy closed a client's connection");
  send(end, Tcp::fin | Tcp::ack, {});
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
  if (field_of(text.substr(0, head + 2), "content-length") != std::to_string(spec_.body)) return fail("a wrong length");
  if (body != body_) return fail("a wrong body");
  body_hash_ += fnv1a(body);
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
  if (!text.starts_with("GET / HTTP/1.1\r\n") || field_of(fields, "host") != "bench.example")
    return fail("a wrong request");
  if (field_of(fields, "x-forwarded-for") != "192.0.2.50" || field_of(fields, "x-forwarded-proto") != "http" ||
      field_of(fields, "x-request-id").empty())
    return fail("fields that the proxy adds are missing");
  end.have = 0;
  send(end, Tcp::psh | Tcp::ack, answer_);
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
  send(end, Tcp::syn, {});
}

void HttpWorld::ask(End& end) {
  ++asked_;
  end.waiting = true;
  send(end, Tcp::psh | Tcp::ack, request_);
}

void HttpWorld::send(End& end, std::uint8_t flags, std::string_view payload) {
  const Station from{end.is_client ? client_mac : backend_mac, end.is_client ? client : backend, end.port};
  const Station to{node_mac, end.is_client ? vip : node, end.peer_port};
  const SegmentOut segment{.sequence = end.next,
                           .acknowledgement = flags & Tcp::ack ? end.expected : 0,
                           .stamp = now_ms_,
                           .echo = end.stamp,
                           .flags = flags,
                           .window = 502};
  Packet packet = write_segment(buffers_, from, to, segment, payload, !spec_.hardware_checksums);
  if (!packet || outbox_.size() == outbox_.capacity()) return fail("the generator has no buffer");
  end.next += static_cast<std::uint32_t>(payload.size()) + (flags & (Tcp::syn | Tcp::fin) ? 1 : 0);
  ++frames_out_;
  outbox_.push_back(packet.release());
}

}  // namespace sluice::perf
