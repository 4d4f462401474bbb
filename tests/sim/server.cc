#include "tests/sim/server.h"

#include <algorithm>
#include <cstdlib>

namespace sluice::sim {

using namespace literals;

std::string backend_of(const IpAddress& address) {
  switch (address.bytes[15]) {
    case 11:
    case 12: return "a";
    case 21:
    case 0x21: return "b";
    case 31: return "c";
    case 41: return "mute";
    case 51:
    case 52: return "l4";
    case 61: return "narrow";
    default: return "?";
  }
}

Servers::Servers(const PeerSpec& spec, Buffers& buffers, Nanos start, const Plan& plan, const Shrink& shrink,
                 std::uint64_t seed)
    : Peer(spec, buffers, start),
      plan_(plan),
      udp_(plan),
      images_(shrink.has(Trouble::images)),
      asked_(plan.by_id.size()),
      rng_(seed) {}

void Servers::datagram(const Endpoint& from, const Endpoint& to, std::string_view bytes, Nanos now) {
  if (const std::string answer = udp_.take(to, bytes); !answer.empty()) send_datagram(to, from, answer, now);
}

void Servers::fail(const ServerConnection& c, const std::string& what) {
  if (failure_.empty())
    failure_ = "backend " + backend_of(c.address) + ", request " + (c.request ? std::to_string(c.request->id) : "?") +
               ": " + what;
}

void Servers::event(const tcp::Event& event, Nanos) {
  if (event.bits & tcp::event_accepted) {
    const std::uint64_t user = next_user_++;
    stack().user(event.id) = user;
    ServerConnection& c = by_user_[user];
    c.id = event.id;
    c.address = stack().local(event.id).address;
    c.l4 = event.listener == 7000;
    c.mute = backend_of(c.address) == "mute";
  }
  const auto found = by_user_.find(stack().user(event.id));
  if (found == by_user_.end() || found->second.id != event.id) return;
  if (event.bits & tcp::event_finished) found->second.finished = true;
  if (event.bits & (tcp::event_reset | tcp::event_timed_out)) found->second.gone = true;
}

void Servers::act(Nanos now) {
  for (auto at = by_user_.begin(); at != by_user_.end();) {
    ServerConnection& c = at->second;
    if (moves(rng_) && images_) move(c.id, at->first, now);
    if (!c.gone) c.l4 ? step_l4(c, now) : step(c, now);
    if (c.gone) {
      stack().release(c.id, now);
      at = by_user_.erase(at);
    } else {
      ++at;
    }
  }
}

void Servers::step(ServerConnection& c, Nanos now) {
  if (const std::uint32_t n = read(c.id, c.in)) stack().consumed(c.id, n, now);
  if (c.mute) {
    if (c.finished) c.gone = true;
    return;
  }
  while (failure_.empty()) {
    if (!c.request && !read_head(c, now)) break;
    if (!c.body_done) read_body(c);
    if (!c.body_done) break;
    if (!c.replied) {
      if (c.body_received != c.request->body)
        return fail(c, std::to_string(c.body_received) + " bytes of the request's body");
      if (now < c.due) break;
      reply(c);
    }
    if (c.close_when_sent || c.abort_when_sent) break;
    c.request = nullptr;
  }
  write(c.id, c.out);
  if (!c.out.empty()) return;
  if (c.abort_when_sent) {
    // Only once all of it has come: a reset overtakes nothing.
    const tcp::SendProgress progress = stack().progress(c.id);
    if (progress.acknowledged < progress.queued) return;
    stack().abort(c.id, now);
    c.gone = true;
  } else if (c.close_when_sent || (c.finished && !c.request)) {
    c.gone = true;
  }
}

void Servers::step_l4(ServerConnection& c, Nanos now) {
  if (const std::uint32_t n = read(c.id, c.in)) stack().consumed(c.id, n, now);
  if (!c.request && c.in.size() >= 8) {
    const auto id = static_cast<std::size_t>(std::atoi(c.in.substr(0, 8).c_str()));
    if (id >= plan_.by_id.size() || !plan_.by_id[id]) return fail(c, "an L4 stream of nobody");
    c.request = plan_.by_id[id];
    ++asked_[id];
    c.in.erase(0, 8);
  }
  if (!c.request) {
    if (c.finished) c.gone = true;
    return;
  }
  if (!is_content(request_body(c.request->id), c.body_received, c.in))
    return fail(c, "bytes differ behind " + std::to_string(c.body_received));
  c.body_received += c.in.size();
  bytes += c.in.size();
  c.in.clear();
  if (c.body_received > c.request->body) return fail(c, "more bytes than were sent");
  if (c.finished && !c.replied && c.due == Nanos{}) c.due = now + c.request->delay;
  if (c.finished && !c.replied && now >= c.due) {
    if (c.body_received != c.request->body) return fail(c, "the stream ended early");
    c.out = content(response_body(c.request->id), 0, c.request->response);
    c.replied = true;
  }
  write(c.id, c.out);
  if (c.replied && c.out.empty()) c.gone = true;
}

bool Servers::read_head(ServerConnection& c, Nanos now) {
  const std::size_t end = c.in.find("\r\n\r\n");
  if (end == std::string::npos) {
    if (c.in.size() > 16384) fail(c, "a head without an end");
    return false;
  }
  std::string head = c.in.substr(0, end + 2);
  c.in.erase(0, end + 4);
  for (char& ch : head)
    if (ch >= 'A' && ch <= 'Z') ch = static_cast<char>(ch + 32);
  const auto field = [&](const char* name) -> std::string {
    const std::size_t at = head.find("\r\n" + std::string{name} + ": ");
    if (at == std::string::npos) return "";
    const std::size_t from = at + 4 + std::string_view{name}.size();
    return head.substr(from, head.find("\r\n", from) - from);
  };
  const auto id = static_cast<std::size_t>(std::atoi(field("x-sim-id").c_str()));
  if (id == 0 || id >= plan_.by_id.size() || !plan_.by_id[id]) {
    fail(c, "a request of nobody: " + head.substr(0, 80));
    return false;
  }
  c.request = plan_.by_id[id];
  ++asked_[id];
  const Request& r = *c.request;
  c.replied = c.last_chunk = false;
  c.body_received = c.left = 0;
  std::string line = r.method + " " + r.path + " HTTP/1.1\r\n";
  for (char& ch : line)
    if (ch >= 'A' && ch <= 'Z') ch = static_cast<char>(ch + 32);
  if (!head.starts_with(line)) fail(c, "request line " + head.substr(0, 60));
  const std::string backend = backend_of(c.address);
  const bool right = r.backend == "swap" ? backend == "a" || backend == "b" : backend == r.backend;
  if (!right) fail(c, "this request is for backend " + r.backend);
  if (field("host") != r.host) fail(c, "host " + field("host"));
  if (field("x-forwarded-for").empty()) fail(c, "no x-forwarded-for");
  if (field("x-request-id").size() != 36) fail(c, "no x-request-id");
  c.chunked = field("transfer-encoding") == "chunked";
  c.left = c.chunked ? 0 : std::strtoull(field("content-length").c_str(), nullptr, 10);
  c.body_done = !c.chunked && c.left == 0;
  c.due = now + r.delay;
  if (field("expect") == "100-continue") c.out += "HTTP/1.1 100 Continue\r\n\r\n";
  return failure_.empty();
}

bool Servers::body_bytes(ServerConnection& c, std::size_t n) {
  if (!is_content(request_body(c.request->id), c.body_received, std::string_view{c.in}.substr(0, n))) {
    fail(c, "bytes of the request's body differ behind " + std::to_string(c.body_received));
    return false;
  }
  c.in.erase(0, n);
  c.body_received += n;
  bytes += n;
  if (c.request->tls) tls_bytes += n;
  c.left -= n;
  return true;
}

void Servers::read_body(ServerConnection& c) {
  while (!c.body_done && !c.in.empty()) {
    if (c.left) {
      if (!body_bytes(c, std::min<std::size_t>(c.left, c.in.size()))) return;
      if (!c.chunked && c.left == 0) c.body_done = true;
      continue;
    }
    const std::size_t end = c.in.find("\r\n");
    if (end == std::string::npos) return;
    const std::string line = c.in.substr(0, end);
    c.in.erase(0, end + 2);
    if (c.last_chunk) {
      if (!line.empty()) fail(c, "trailer that nobody sent");
      c.body_done = true;
    } else if (!line.empty()) {
      c.left = std::strtoull(line.c_str(), nullptr, 16);
      c.last_chunk = c.left == 0;
    }
  }
}

void Servers::reply(ServerConnection& c) {
  const Request& r = *c.request;
  c.replied = true;
  std::string head =
      "HTTP/1.1 200 OK\r\nX-Sim-Id: " + std::to_string(r.id) + "\r\nX-Backend: " + backend_of(c.address) + "\r\n";
  if (r.framing == Framing::chunked) head += "Transfer-Encoding: chunked\r\n";
  if (r.framing == Framing::length) head += "Content-Length: " + std::to_string(r.response) + "\r\n";
  if (r.framing == Framing::close) head += "Connection: close\r\n", c.close_when_sent = true;
  c.out += head + "\r\n";
  if (r.method == "HEAD") return;
  const std::string body = content(response_body(r.id), 0, r.response);
  if (r.cut) {
    c.out += body.substr(0, body.size() / 2);
    c.abort_when_sent = true;
    return;
  }
  if (r.framing != Framing::chunked) {
    c.out += body;
    return;
  }
  for (std::size_t at = 0; at < body.size();) {
    const std::size_t n = std::min<std::size_t>(1 + rng_.below(9000), body.size() - at);
    char size[16];
    std::snprintf(size, sizeof size, "%zx\r\n", n);
    c.out += size + body.substr(at, n) + "\r\n";
    at += n;
  }
  c.out += "0\r\n\r\n";
}

}  // namespace sluice::sim
