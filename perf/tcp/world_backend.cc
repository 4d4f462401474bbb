// The backend of the tcp scenario's world, and what is sent again on a link with loss.
#include <fmt/format.h>

#include "perf/tcp/world.h"
#include "perf/world/head.h"

namespace sluice::perf {

using wire::Tcp;

TcpWorld::Backend* TcpWorld::accept(const SegmentIn& segment) {
  if (free_.empty()) {
    fail("too many connections to the backend");
    return nullptr;
  }
  const std::uint16_t place = by_peer_port_[segment.from_port] = free_.back();
  free_.pop_back();
  Backend& end = backends_[place];
  static_cast<End&>(end) = {.next = sequence_ += 64'000,
                            .una = sequence_,
                            .expected = segment.sequence + 1,
                            .stamp = segment.stamp,
                            .state = State::opening};
  end.peer_port = segment.from_port;
  end.peer_finished = false;
  end.scale = segment.window_scale;
  end.window = segment.window;
  end.sent = end.total = 0;
  ++accepted_;
  return &end;
}

void TcpWorld::leave(Backend& end) {
  end.state = State::closed;
  by_peer_port_[end.peer_port] = nobody;
  free_.push_back(static_cast<std::uint16_t>(&end - backends_.data()));
}

// Of a SYN that the link doubled or held back, heard when its connection was over, nobody knows but who answered it.
void TcpWorld::backend_reset(const SegmentIn& segment) {
  const std::uint16_t place = by_peer_port_[segment.from_port];
  if (place == nobody) return;
  Backend& end = backends_[place];
  if (end.state == State::opening && segment.sequence == end.expected) leave(end);
}

void TcpWorld::backend_segment(const SegmentIn& segment) {
  const std::uint16_t place = by_peer_port_[segment.from_port];
  Backend* end = place == nobody ? nullptr : &backends_[place];
  if (segment.has(Tcp::syn)) {
    // One of before, that the link doubled or held back: an open connection stays (RFC 9293 3.10.7.4).
    if (end && before(segment.sequence, end->expected))
      return end->state == State::opening ? resend(*end) : send(*end, Tcp::ack);
    if (end) leave(*end);
    if ((end = accept(segment))) send(*end, Tcp::syn | Tcp::ack);
    return;
  }
  if (!end) {
    if (!segment.has(Tcp::fin)) return;
    // It did not hear our last acknowledgement.
    const End gone{.expected = segment.sequence + segment.payload_size + 1, .stamp = segment.stamp};
    return put({peer_mac, backend, backend_port}, {node_mac, node, segment.from_port}, gone, segment.acknowledgement,
               Tcp::ack, {});
  }
  end->stamp = segment.stamp;
  if (before(end->una, segment.acknowledgement) && !before(end->next, segment.acknowledgement))
    end->una = segment.acknowledgement;
  end->window = segment.window << end->scale;
  if (end->state == State::opening && end->una == end->next) end->state = State::open;
  if (segment.payload_size || segment.has(Tcp::fin)) {
    if (segment.sequence != end->expected) {
      ++repeated_;
      if (!spec_.again && !before(segment.sequence, end->expected)) return fail("data out of order at the backend");
      return send(*end, Tcp::ack);
    }
    backend_data(*end, segment);
  } else if (segment.sequence == end->expected - 1) {
    send(*end, Tcp::ack);  // a keepalive probe
  }
  stream(*end);
  if (end->state == State::finished && end->una == end->next && end->peer_finished) leave(*end);
}

void TcpWorld::backend_data(Backend& end, const SegmentIn& segment) {
  end.expected += segment.payload_size;
  if (end.have + segment.payload_size > end.request.size()) return fail("a request larger than the backend reads");
  segment.each_piece([&](std::string_view piece) {
    std::memcpy(&end.request[end.have], piece.data(), piece.size());
    end.have += static_cast<std::uint32_t>(piece.size());
    return true;
  });
  if (segment.payload_size && read_request(end)) {
    end.have = 0;
    end.sent = 0;
    end.total = answer_head_.size() + spec_.body;
  }
  if (!segment.has(Tcp::fin)) return;
  ++end.expected;
  end.peer_finished = true;
  const bool last = std::exchange(end.state, State::finished) != State::finished;
  send(end, last ? Tcp::fin | Tcp::ack : Tcp::ack);
}

// Whether a request is whole; what is not right in it is a fault.
bool TcpWorld::read_request(Backend& end) {
  const std::string_view text{end.request.data(), end.have};
  const std::size_t size = text.find("\r\n\r\n");
  if (size == text.npos) return false;
  const std::string_view fields = text.substr(0, size + 2);
  const std::optional<std::uint32_t> client = read_number(fields);
  if (text.size() != size + 4 || !client || *client >= clients_.size() || field_of(fields, "host") != "bench.example") {
    fail("a wrong request");
    return false;
  }
  end.client = *client;
  std::array<char, 16> address;
  const std::uint32_t a = address_of(end.client);
  const auto written =
      fmt::format_to_n(address.data(), address.size(), "{}.{}.{}.{}", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
  if (field_of(fields, "x-forwarded-for") != std::string_view{address.data(), written.size} ||
      field_of(fields, "x-forwarded-proto") != "http" || field_of(fields, "x-request-id").empty())
    fail("fields that the proxy adds are missing or wrong");
  return true;
}

// The answer, as far as the proxy's window allows; in close mode a FIN behind it.
void TcpWorld::stream(Backend& end) {
  if (end.sent == end.total || end.state != State::open) return;
  const std::uint32_t limit = std::min(end.window, stream_ahead);
  while (end.sent < end.total) {
    const std::string_view piece = piece_of(end.client, end.sent);
    if (end.next - end.una + piece.size() > limit) return;
    end.sent += piece.size();
    send(end, static_cast<std::uint8_t>(Tcp::ack | (end.sent == end.total ? Tcp::psh : 0)), piece);
  }
  if (!spec_.close) return;
  end.state = State::finished;
  send(end, Tcp::fin | Tcp::ack);
}

// One segment of an answer from an offset on.
std::string_view TcpWorld::piece_of(std::uint32_t client, std::uint64_t offset) {
  const std::uint64_t total = answer_head_.size() + spec_.body;
  const std::uint64_t size = std::min<std::uint64_t>(segment_size, total - offset);
  if (offset >= answer_head_.size() + number_size)
    return std::string_view{pattern_}.substr((offset - answer_head_.size()) % pattern_size, size);
  scratch_ = answer_head_;
  scratch_.append(number_size, '0');
  write_number(&scratch_[answer_head_.size()], client);
  scratch_.append(pattern_, number_size, segment_size);
  return std::string_view{scratch_}.substr(offset, size);
}

void TcpWorld::send(Backend& end, std::uint8_t flags, std::string_view payload) {
  put({peer_mac, backend, backend_port}, {node_mac, node, end.peer_port}, end, end.next, flags, payload);
  end.next += static_cast<std::uint32_t>(payload.size()) + (flags & (Tcp::syn | Tcp::fin) ? 1 : 0);
  end.unacked = 0;
}

// -- loss -------------------------------------------------------------------------------------------------------------

void TcpWorld::send_again(Nanos now) {
  now_ms_ = static_cast<std::uint32_t>(now.millis());
  for (std::uint32_t client = 0; client < clients_.size(); ++client)
    if (clients_[client].una != clients_[client].next) resend(clients_[client], client);
  for (Backend& end : backends_)
    if (end.state != State::closed && end.una != end.next) resend(end);
}

void TcpWorld::resend(End& end, std::uint32_t client) {
  const Station from = station_of(client), to{node_mac, vip, vip_port};
  if (end.state == State::opening) return put(from, to, end, end.una, Tcp::syn, {});
  const bool fin = end.state == State::finished;
  const std::uint32_t data_end = end.next - fin;
  const auto left = static_cast<std::int32_t>(data_end - end.una);
  const std::string_view request = request_of(client);
  if (left > 0) put(from, to, end, end.una, Tcp::psh | Tcp::ack, request.substr(request.size() - left));
  if (fin) put(from, to, end, data_end, Tcp::fin | Tcp::ack, {});
}

void TcpWorld::resend(Backend& end) {
  const Station from{peer_mac, backend, backend_port}, to{node_mac, node, end.peer_port};
  if (end.state == State::opening) return put(from, to, end, end.una, Tcp::syn | Tcp::ack, {});
  const bool fin = end.state == State::finished;
  const std::uint32_t data_end = end.next - fin;
  const auto left = static_cast<std::int32_t>(data_end - end.una);
  if (left > 0) put(from, to, end, end.una, Tcp::psh | Tcp::ack, piece_of(end.client, end.sent - left));
  if (fin) put(from, to, end, data_end, Tcp::fin | Tcp::ack, {});
}

}  // namespace sluice::perf
