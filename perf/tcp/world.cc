#include "perf/tcp/world.h"

#include <fmt/format.h>

#include <charconv>

#include "perf/world/head.h"

namespace sluice::perf {

namespace {

using wire::Tcp;

constexpr std::size_t backends_max = 20'000, queue_max = 32'768;
constexpr std::string_view half = "GET /", after_number = " HTTP/1.1\r\n", fields = "Host: bench.example\r\n";

}  // namespace

TcpWorld::TcpWorld(const TcpWorldSpec& spec, Buffers& buffers)
    : spec_(spec),
      buffers_(buffers),
      request_(
          fmt::format("{}00000000{}{}{}\r\n", half, after_number, fields, spec.close ? "Connection: close\r\n" : "")),
      // What nginx answers.
      answer_head_(fmt::format("HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
                               "Content-Type: text/plain\r\nContent-Length: {}\r\nConnection: {}\r\n\r\n",
                               spec.body, spec.close ? "close" : "keep-alive")),
      clients_(spec.clients),
      backends_(backends_max),
      by_peer_port_(65536, nobody) {
  for (std::size_t i = 0; i < pattern_size + segment_size; ++i)
    pattern_ += static_cast<char>('!' + i % pattern_size * 7919 % 90);
  caps_ = {.mac = node_mac,
           .mtu = 1500,
           .queues = 1,
           .rss = false,
           .tx_ip4_checksum = spec.hardware_checksums,
           .tx_l4_checksum = spec.hardware_checksums,
           .rx_checksum = spec.hardware_checksums,
           .tso = spec.tso,
           .multi_segment = true,
           .shared_buffers = true};
  for (std::size_t i = backends_max; i > 0; --i) free_.push_back(static_cast<std::uint16_t>(i - 1));
  inbox_.reserve(queue_max);
  outbox_.reserve(queue_max);
  done.reserve(spec.clients);
  scratch_.reserve(2 * segment_size);
}

TcpWorld::~TcpWorld() {
  for (rte_mbuf* frame : inbox_) free_buffers(frame);
  for (; outbox_head_ < outbox_.size(); ++outbox_head_) free_buffers(outbox_[outbox_head_]);
}

void TcpWorld::write_number(char* at, std::uint32_t number) {
  constexpr char digits[] = "0123456789abcdef";
  for (unsigned i = 0; i < number_size; ++i) at[i] = digits[number >> (28 - 4 * i) & 15];
}

// The number in a request's line.
std::optional<std::uint32_t> TcpWorld::read_number(std::string_view head) {
  std::uint32_t number = 0;
  const std::size_t end = half.size() + number_size;
  if (!head.starts_with(half) || head.substr(std::min(end, head.size()), after_number.size()) != after_number)
    return {};
  const auto [at, error] = std::from_chars(head.data() + half.size(), head.data() + end, number, 16);
  if (error != std::errc{} || at != head.data() + end) return {};
  return number;
}

std::uint64_t TcpWorld::result_hash() const { return fnv1a(pattern_, fnv1a(learnt_head_)); }

std::string TcpWorld::first_waiting() const {
  for (std::size_t i = 0; i < clients_.size(); ++i) {
    const End& end = clients_[i];
    if (end.state == State::closed || (end.state == State::open && !end.waiting)) continue;
    constexpr std::string_view states[] = {"closed", "opening", "open", "finished"};
    return fmt::format("client {}, {}, waits with {} bytes unacknowledged and {} of its answer", i,
                       states[static_cast<std::size_t>(end.state)], end.next - end.una, end.have);
  }
  return "no client waits";
}

std::uint16_t TcpWorld::receive(std::uint16_t, std::span<rte_mbuf*> out, Nanos) {
  std::uint16_t n = 0;
  while (n < out.size() && outbox_head_ < outbox_.size()) out[n++] = outbox_[outbox_head_++];
  return n;
}

std::uint16_t TcpWorld::transmit(std::uint16_t, std::span<rte_mbuf*> frames, Nanos) {
  const std::size_t n = std::min(frames.size(), inbox_.capacity() - inbox_.size());
  for (rte_mbuf* frame : frames.first(n)) inbox_.push_back(frame);
  return static_cast<std::uint16_t>(n);
}

void TcpWorld::react(Nanos now) {
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

void TcpWorld::read(const rte_mbuf* frame) {
  const auto segment = read_segment(frame, spec_.hardware_checksums);
  if (!segment) {
    if (segment.error() != Unread::not_tcp) return fail(std::string{to_text(segment.error())});
    // Stations on the link: whoever is asked for answers.
    if (Packet answer = answer_arp(buffers_, frame, peer_mac)) outbox_.push_back(answer.release());
    return;
  }
  if (spec_.flood && segment->to >> 24 != node >> 24) {
    if (segment->flags != (Tcp::syn | Tcp::ack)) return fail("an answer to a SYN that is none");
    ++flood_answers_;
    return;
  }
  if (segment->has(Tcp::rst)) {
    if (!spec_.again) fail("a reset");
    else if (segment->to == backend) backend_reset(*segment);
    return;
  }
  const bool to_client = segment->to != backend;
  if (segment->from_mac != node_mac || segment->to_mac != peer_mac) return fail("a wrong MAC address");
  data_frames_in_ += segment->payload_size > 0;
  if (!to_client) return backend_segment(*segment);
  const std::uint32_t client =
      (segment->to - first_client) * ports_an_address + (segment->to_port - std::uint32_t{source_low});
  if (segment->to < first_client || segment->to_port < source_low || client >= clients_.size())
    return fail("a packet for nobody");
  client_segment(client, *segment);
}

// -- clients ----------------------------------------------------------------------------------------------------------

Station TcpWorld::station_of(std::uint32_t client) const {
  return {peer_mac, address_of(client), static_cast<std::uint16_t>(source_low + client % ports_an_address)};
}

std::string_view TcpWorld::request_of(std::uint32_t client) {
  write_number(&request_[half.size()], client);
  return request_;
}

void TcpWorld::open(std::uint32_t client) {
  End& end = clients_[client];
  if (end.state != State::closed) return fail("a client opens twice");
  end = {.next = sequence_ += 64'000, .una = sequence_, .state = State::opening};
  send(end, client, Tcp::syn);
}

void TcpWorld::ask(std::uint32_t client, bool part) {
  End& end = clients_[client];
  if (end.state != State::open || end.waiting) return fail("a client asks twice");
  const std::string_view request = request_of(client);
  const bool rest = std::exchange(end.part, part);
  end.waiting = !part;
  send(end, client, Tcp::psh | Tcp::ack,
       part ? request.substr(0, half.size()) : request.substr(rest ? half.size() : 0));
}

void TcpWorld::close(std::uint32_t client) {
  End& end = clients_[client];
  if (end.state != State::open) return fail("a client that is not open closes");
  end.state = State::finished;
  send(end, client, Tcp::fin | Tcp::ack);
}

void TcpWorld::flood(std::uint32_t count, Rng& rng) {
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto word = static_cast<std::uint32_t>(rng.next() >> 32);
    const std::uint32_t network = 11 + (word >> 24) % 100;  // 11/8 to 110/8: hosts, none of them here
    const Station from{peer_mac, network << 24 | (word & 0xffffff),
                       static_cast<std::uint16_t>(1024 + rng.below(64'000))};
    End end{.expected = 0, .stamp = 0};
    put(from, {node_mac, vip, vip_port}, end, static_cast<std::uint32_t>(rng.next()), Tcp::syn, {});
  }
}

void TcpWorld::client_segment(std::uint32_t client, const SegmentIn& segment) {
  End& end = clients_[client];
  if (end.state == State::closed) {
    // The proxy did not hear our last acknowledgement.
    if (segment.has(Tcp::fin) && spec_.again) {
      end.expected = segment.sequence + segment.payload_size + 1;
      end.stamp = segment.stamp;
      send(end, client, Tcp::ack);
    }
    return;
  }
  end.stamp = segment.stamp;
  if (!before(segment.acknowledgement, end.una) && !before(end.next, segment.acknowledgement))
    end.una = segment.acknowledgement;
  if (segment.has(Tcp::syn)) {
    if (end.state == State::opening) {
      end.expected = segment.sequence + 1;
      end.state = State::open;
      send(end, client, Tcp::ack);
      return ask(client);
    }
    return send(end, client, Tcp::ack);
  }
  if (end.state == State::opening) return fail("data before the handshake");
  if (segment.payload_size || segment.has(Tcp::fin)) {
    if (segment.sequence != end.expected) {  // again, or out of order
      ++repeated_;
      if (!spec_.again && !before(segment.sequence, end.expected)) return fail("data out of order at a client");
      return send(end, client, Tcp::ack);
    }
    client_data(client, end, segment);
    if (segment.has(Tcp::fin)) {
      ++end.expected;
      if (end.waiting) return fail("the proxy closed a client's connection");
      if (end.state == State::open) {
        end.state = State::finished;
        return send(end, client, Tcp::fin | Tcp::ack);
      }
      send(end, client, Tcp::ack);
    }
  } else if (segment.sequence == end.expected - 1) {
    send(end, client, Tcp::ack);  // a keepalive probe
  }
  if (end.state == State::finished && end.una == end.next) {
    end.state = State::closed;
    ++closed_;
    if (spec_.close) done.push_back(client);
  }
}

void TcpWorld::client_data(std::uint32_t client, End& end, const SegmentIn& segment) {
  if (!segment.payload_size) return;
  if (!end.waiting) return fail("an answer to no request");
  end.expected += segment.payload_size;
  const bool right = segment.each_piece([&](std::string_view piece) { return right_piece(client, end, piece); });
  if (!right) {
    std::string begin;
    segment.each_piece([&](std::string_view piece) { return begin += piece.substr(0, 80), true; });
    return fail("a wrong answer: " + begin.substr(0, begin.find('\r')));
  }
  const bool whole = !learnt_head_.empty() && end.have == learnt_head_.size() + spec_.body;
  if (whole) {
    end.have = 0;
    end.waiting = false;
    ++answered_;
    if (!spec_.close) done.push_back(client);
  }
  // Every second segment, a large one (the receiver's own coalescing), and the end.
  ++end.unacked;
  if (segment.has(Tcp::fin)) return;
  if (whole || end.unacked >= 2 || segment.payload_size > segment_size) send(end, client, Tcp::ack);
}

// Bytes [end.have, ...) of this client's answer. Its length fits 32 bits but for bodies of 4 GB.
bool TcpWorld::right_piece(std::uint32_t client, End& end, std::string_view piece) {
  if (learnt_head_.empty() && !learn_head(piece)) return false;
  while (!piece.empty()) {
    std::string_view expected;
    std::array<char, number_size> number;
    if (end.have < learnt_head_.size()) {
      expected = std::string_view{learnt_head_}.substr(end.have);
    } else if (const std::uint64_t at = end.have - learnt_head_.size(); at < number_size) {
      write_number(number.data(), client);
      expected = std::string_view{number.data(), number_size}.substr(at);
    } else {
      if (at >= spec_.body) return false;
      const std::uint64_t from = at % pattern_size;
      expected = std::string_view{pattern_}.substr(from, std::min<std::uint64_t>(segment_size, spec_.body - at));
    }
    const std::size_t n = std::min(piece.size(), expected.size());
    if (piece.substr(0, n) != expected.substr(0, n)) return false;
    if (end.have >= learnt_head_.size()) body_bytes_ += n;
    end.have += static_cast<std::uint32_t>(n);
    piece.remove_prefix(n);
  }
  return true;
}

// The head of the first answer is read; the others must be the same.
bool TcpWorld::learn_head(std::string_view piece) {
  const std::size_t size = piece.find("\r\n\r\n");
  if (size == piece.npos) return false;
  const std::string_view head = piece.substr(0, size + 2);
  if (!head.starts_with("HTTP/1.1 200") || !head.ends_with("\r\n")) return false;
  const std::string length = std::to_string(spec_.body);
  if (field_of(head, "content-length") != length) return false;
  learnt_head_ = piece.substr(0, size + 4);
  return true;
}

void TcpWorld::send(End& end, std::uint32_t client, std::uint8_t flags, std::string_view payload) {
  put(station_of(client), {node_mac, vip, vip_port}, end, end.next, flags, payload);
  end.next += static_cast<std::uint32_t>(payload.size()) + (flags & (Tcp::syn | Tcp::fin) ? 1 : 0);
  end.unacked = 0;
}

void TcpWorld::put(const Station& from, const Station& to, const End& end, std::uint32_t sequence, std::uint8_t flags,
                   std::string_view payload) {
  const SegmentOut segment{.sequence = sequence,
                           .acknowledgement = flags & Tcp::ack ? end.expected : 0,
                           .stamp = now_ms_,
                           .echo = end.stamp,
                           .flags = flags};
  Packet packet = write_segment(buffers_, from, to, segment, payload, !spec_.hardware_checksums);
  if (!packet || outbox_.size() == outbox_.capacity()) return fail("the generator has no buffer");
  ++frames_out_;
  data_frames_out_ += !payload.empty();
  outbox_.push_back(packet.release());
}

}  // namespace sluice::perf
