#include "tests/sim/client.h"

#include <algorithm>
#include <cstdlib>

namespace sluice::sim {

using namespace literals;

namespace {

const IpAddress vip4 = *parse_ip("10.0.0.10"), vip6 = *parse_ip("fd00::10"), l4_vip = *parse_ip("10.0.0.20");

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return text;
}

}  // namespace

Clients::Clients(const PeerSpec& spec, Buffers& buffers, Nanos start, const Plan& plan, const Shrink& shrink,
                 std::uint64_t seed, bool refusals_allowed)
    : Peer(spec, buffers, start),
      connections_(plan.connections.size()),
      udp_(plan, shrink, spec.addresses[0].address, start, seed + 7),
      rng_(seed),
      start_(start),
      last_(start),
      refusals_allowed_(refusals_allowed),
      images_(shrink.has(Trouble::images)) {
  for (std::uint32_t i = 0; i < connections_.size(); ++i) {
    connections_[i].plan = &plan.connections[i];
    connections_[i].at = start + plan.connections[i].start;
    const bool udp = plan.connections[i].kind == ConnectionPlan::Kind::udp;
    if (!udp && shrink.keeps(i)) continue;
    connections_[i].done = true;
    ++done_;
    if (!udp)
      for (const Request& r : plan.connections[i].requests) given_up_.insert(r.id);
  }
}

void Clients::fail(const ClientConnection& c, const std::string& what) {
  if (!failure_.empty()) return;
  const Request& r = c.plan->requests[std::min(c.request, c.plan->requests.size() - 1)];
  failure_ = "connection " + std::to_string(&c - connections_.data()) + ", request " + std::to_string(r.id) + " (" +
             r.method + " " + r.host + r.path + "): " + what;
}

std::string Clients::unfinished() const {
  std::string text = udp_.unfinished();
  for (const ClientConnection& c : connections_)
    if (!c.done) {
      const Request& r = c.plan->requests[std::min(c.request, c.plan->requests.size() - 1)];
      text += " [connection " + std::to_string(&c - connections_.data()) +
              (c.plan->kind == ConnectionPlan::Kind::l4 ? " l4"
               : c.tls                                  ? " tls"
                                                        : " http") +
              " request " + std::to_string(r.id) + " " + r.method + " " + r.path + (c.asked ? " asked" : "") +
              " status " + std::to_string(c.answer.status) + " body " +
              std::to_string(c.answer.received + c.l4_received) + "/" + std::to_string(r.response) + " unsent " +
              std::to_string(c.out.size()) + " refused " + std::to_string(c.attempts) +
              (c.finished ? " peer ended" : "") + (c.open ? "" : " not open") + "]";
    }
  return text;
}

void Clients::event(const tcp::Event& event, Nanos now) {
  if (event.user == 0 || event.user > connections_.size()) return;
  ClientConnection& c = connections_[event.user - 1];
  if (c.id != event.id) return;
  if (event.bits & tcp::event_connected) c.open = true;
  if (event.bits & tcp::event_finished) c.finished = true;
  if (event.bits & (tcp::event_reset | tcp::event_timed_out)) {
    take(c, now);
    ended(c, event.bits & tcp::event_reset ? "reset" : "timed out", now);
  }
}

void Clients::act(Nanos now) {
  for (ClientConnection& c : connections_)
    if (!c.done && failure_.empty()) step(c, now);
  last_ = now;
  datagrams_.clear();
  udp_.act(now, datagrams_);
  for (const Datagram& d : datagrams_) send_datagram(d.from, d.to, d.bytes, now);
}

void Clients::connect(ClientConnection& c, Nanos now) {
  const bool l4 = c.plan->kind == ConnectionPlan::Kind::l4;
  c.tls = c.plan->kind == ConnectionPlan::Kind::https ? std::make_unique<TlsClient>() : nullptr;
  const std::uint16_t port = l4 ? 7000 : c.tls ? 443 : 80;
  const std::size_t index = static_cast<std::size_t>(&c - connections_.data());
  const auto id = stack().connect({.remote = {l4            ? l4_vip
                                              : c.plan->ip6 ? vip6
                                                            : vip4,
                                              port},
                                   .timeout = connect_patience,
                                   .user = index + 1},
                                  now);
  if (!id) return again(c, "no connection of its own", now);
  c.id = *id;
  gone_.erase({stack().local(c.id).address.bytes, stack().local(c.id).port});
  c.waiting = c.open = c.finished = c.shut = c.asked = false;
  c.unconsumed = c.l4_received = 0;
  c.out.clear();
  c.in.clear();
  c.answer = {};
}

// The host is gone: nothing is sent, nothing answered, not even with a reset.
void Clients::go(ClientConnection& c) {
  if (!c.waiting) vanish(c.id);
  for (std::size_t i = c.request; i < c.plan->requests.size(); ++i) given_up_.insert(c.plan->requests[i].id);
  c.tls.reset();
  c.done = true;
  ++done_;
  ++vanished;
}

// Reads nothing for a while, once, as soon as so much has come.
bool Clients::stalls(ClientConnection& c, Nanos now) const {
  if (c.plan->stalls_at && c.stalled_until == Nanos{} && c.taken >= c.plan->stalls_at) c.stalled_until = now + 1500_ms;
  return now < c.stalled_until;
}

void Clients::step(ClientConnection& c, Nanos now) {
  if (c.plan->vanishes != Nanos::never() && now >= start_ + c.plan->start + c.plan->vanishes) return go(c);
  if (c.waiting) {
    if (now >= c.at) connect(c, now);
    return;
  }
  if (!c.open) return;
  // Out and in again, in the middle of whatever it does.
  if (moves(rng_) && images_) move(c.id, static_cast<std::uint64_t>(&c - connections_.data()) + 1, now);
  if (!c.asked) ask(c);
  if (c.tls) c.out += c.tls->take();
  write(c.id, c.out);
  if (c.plan->kind == ConnectionPlan::Kind::l4 && c.out.empty() && !c.shut) {
    stack().shutdown(c.id, now);
    c.shut = true;
  }
  take(c, now);
  if (c.done || c.waiting) return;
  const std::uint64_t rate = c.plan->read_rate;
  const std::uint64_t most =
      rate ? std::max<std::uint64_t>(1, rate * static_cast<std::uint64_t>((now - last_).micros()) / 1000)
           : c.unconsumed;
  if (const auto n = stalls(c, now) ? 0 : std::min(most, c.unconsumed)) {
    stack().consumed(c.id, static_cast<std::uint32_t>(n), now);
    c.unconsumed -= n;
  }
  if (c.finished) ended(c, "closed", now);
}

void Clients::ask(ClientConnection& c) {
  c.asked = true;
  const Request& r = c.plan->requests[c.request];
  if (c.plan->kind == ConnectionPlan::Kind::l4) {
    c.out = std::string(8, '0');
    for (int i = 7, n = static_cast<int>(r.id); i >= 0; --i, n /= 10)
      c.out[static_cast<std::size_t>(i)] = static_cast<char>('0' + n % 10);
    c.out += content(request_body(r.id), 0, r.body);
    return;
  }
  std::string text = r.method + " " + r.path + " HTTP/1.1\r\nHost: " + r.host +
                     "\r\nX-Sim-Id: " + std::to_string(r.id) + "\r\n" + r.fields;
  const std::string body = content(request_body(r.id), 0, r.body);
  if (r.method == "POST" || r.method == "PUT") {
    if (!r.chunked) {
      text += "Content-Length: " + std::to_string(r.body) + "\r\n\r\n" + body;
    } else {
      text += "Transfer-Encoding: chunked\r\n\r\n";
      for (std::size_t at = 0; at < body.size();) {
        const std::size_t n = std::min<std::size_t>(1 + rng_.below(9000), body.size() - at);
        char size[16];
        std::snprintf(size, sizeof size, "%zx\r\n", n);
        text += size + body.substr(at, n) + "\r\n";
        at += n;
      }
      text += "0\r\n\r\n";
    }
  } else {
    text += "\r\n";
  }
  c.answer = {};
  if (c.tls) c.tls->send(text);
  else c.out += text;
}

// Everything that has come, as far as it goes.
void Clients::take(ClientConnection& c, Nanos now) {
  std::string wire;
  const std::uint32_t came = read(c.id, wire);
  c.unconsumed += came;
  c.taken += came;
  if (c.tls) {
    if (!c.tls->receive(wire, c.in)) return fail(c, "TLS finds an error in what came");
  } else {
    c.in += wire;
  }
  if (c.plan->kind == ConnectionPlan::Kind::l4) return take_l4(c);
  while (!c.in.empty() && failure_.empty() && !c.done && !c.waiting) {
    if (!c.asked) return fail(c, "bytes that nobody asked for: " + c.in.substr(0, 60));
    if (!c.answer.in_body && !parse_head(c)) return;
    if (!failure_.empty()) return;
    take_body(c);
    if (!c.answer.done) return;
    answered(c, now);
  }
}

void Clients::take_l4(ClientConnection& c) {
  const Request& r = c.plan->requests[0];
  if (c.l4_received + c.in.size() > r.response) return fail(c, "more bytes than were sent");
  if (!is_content(response_body(r.id), c.l4_received, c.in))
    return fail(c, "bytes differ behind " + std::to_string(c.l4_received));
  c.l4_received += c.in.size();
  bytes += c.in.size();
  c.in.clear();
}

// The head of an answer, once it is there whole. Interim answers are read over.
bool Clients::parse_head(ClientConnection& c) {
  Answer& a = c.answer;
  const std::size_t end = c.in.find("\r\n\r\n");
  if (end == std::string::npos) {
    if (c.in.size() > 16384) fail(c, "a head without an end");
    return false;
  }
  a.head = c.in.substr(0, end + 2);
  c.in.erase(0, end + 4);
  if (!a.head.starts_with("HTTP/1.1 ")) {
    fail(c, "not a status line: " + a.head.substr(0, 60));
    return false;
  }
  a.status = static_cast<std::uint16_t>(std::atoi(a.head.c_str() + 9));
  if (a.status / 100 == 1) {
    a = {};
    return !c.in.empty() && parse_head(c);
  }
  for (std::size_t at = a.head.find("\r\n") + 2; at < a.head.size();) {
    const std::size_t line_end = a.head.find("\r\n", at), colon = a.head.find(':', at);
    if (colon == std::string::npos || colon > line_end) {
      fail(c, "a header line without a colon");
      return false;
    }
    std::string value = a.head.substr(colon + 1, line_end - colon - 1);
    while (!value.empty() && value[0] == ' ') value.erase(0, 1);
    if (!a.fields.emplace(lower(a.head.substr(at, colon - at)), value).second)
      fail(c, "a field twice: " + a.head.substr(at, colon - at));
    at = line_end + 2;
  }
  a.in_body = true;
  const Request& r = c.plan->requests[c.request];
  if (r.method == "HEAD" || a.status == 204 || a.status == 304) a.body = Answer::Body::none;
  else if (a.fields.contains("transfer-encoding")) a.body = Answer::Body::chunked;
  else if (a.fields.contains("content-length"))
    a.body = Answer::Body::length, a.left = std::strtoull(a.fields["content-length"].c_str(), nullptr, 10);
  else a.body = Answer::Body::close;
  if (a.body == Answer::Body::none || (a.body == Answer::Body::length && a.left == 0)) a.done = true;
  return true;
}

// A line of the chunked coding, if it is there whole: how many bytes of chunk follow.
std::size_t Clients::take_chunk_line(ClientConnection& c) {
  Answer& a = c.answer;
  const std::size_t end = c.in.find("\r\n");
  if (end == std::string::npos) return std::string::npos;
  const std::string line = c.in.substr(0, end);
  c.in.erase(0, end + 2);
  if (a.last_chunk) {
    if (!line.empty()) fail(c, "trailer that nobody sent");
    a.done = true;
    return std::string::npos;
  }
  if (line.empty()) return 0;  // behind a chunk
  char* stop = nullptr;
  const std::size_t size = std::strtoull(line.c_str(), &stop, 16);
  if (*stop) fail(c, "chunk size " + line);
  a.last_chunk = size == 0;
  return size;
}

void Clients::take_body(ClientConnection& c) {
  Answer& a = c.answer;
  const Request& r = c.plan->requests[c.request];
  const bool ours = a.fields.contains("x-sim-id");  // else the node's own text
  while (!a.done && failure_.empty()) {
    if (a.body == Answer::Body::chunked && a.left == 0) {
      const std::size_t size = take_chunk_line(c);
      if (size == std::string::npos) return;
      a.left = size;
      continue;
    }
    const std::size_t n = a.body == Answer::Body::close ? c.in.size() : std::min<std::size_t>(c.in.size(), a.left);
    if (n == 0) return;
    if (ours && !is_content(response_body(r.id), a.received, std::string_view{c.in}.substr(0, n)))
      return fail(c, "bytes of the body differ behind " + std::to_string(a.received));
    c.in.erase(0, n);
    a.received += n;
    bytes += n;
    if (r.tls) tls_bytes += n;
    if (a.body == Answer::Body::close) continue;
    a.left -= n;
    if (a.body == Answer::Body::length && a.left == 0) a.done = true;
  }
}

// An answer is whole: is it the right one?
void Clients::answered(ClientConnection& c, Nanos now) {
  const Request& r = c.plan->requests[c.request];
  Answer& a = c.answer;
  if (refusals_allowed_ && a.status == 503) return again(c, "503", now);
  if (a.status != r.status)
    return fail(c, "status " + std::to_string(a.status) + " instead of " + std::to_string(r.status));
  if (r.cut) return fail(c, "whole, though the backend died in the middle");
  if (!r.backend.empty()) {
    if (a.fields["x-sim-id"] != std::to_string(r.id)) return fail(c, "the answer to request " + a.fields["x-sim-id"]);
    std::string right = r.backend;
    if (right == "swap") {
      right = a.fields["x-policy"] == "odd" ? "b" : "a";
      ++swaps_seen[right == "b"];
    }
    if (a.fields["x-backend"] != right) return fail(c, "answered by " + a.fields["x-backend"] + " instead of " + right);
    if (r.method != "HEAD" && a.received != r.response)
      return fail(c, std::to_string(a.received) + " bytes of body instead of " + std::to_string(r.response));
  } else if (a.fields.contains("x-sim-id")) {
    return fail(c, "answered by backend " + a.fields["x-backend"]);
  }
  ++answers;
  ++c.request;
  c.asked = false;
  const bool closes = a.fields.contains("connection") && a.fields["connection"] == "close";
  a = {};
  if (c.request == c.plan->requests.size()) return finish(c, now);
  if (closes) {
    // RFC 9112 9.6: no more on this one.
    stack().release(c.id, now);
    c.waiting = true;
    c.at = now;
  }
}

// The connection is over: was it time?
void Clients::ended(ClientConnection& c, const char* how, Nanos now) {
  if (c.done || c.waiting || !failure_.empty()) return;
  const Request& r = c.plan->requests[c.request];
  if (c.plan->kind == ConnectionPlan::Kind::l4) {
    if (c.finished && c.l4_received == r.response) {
      ++answers;
      return finish(c, now);
    }
  } else if (c.asked && c.answer.in_body && c.answer.body == Answer::Body::close && c.finished) {
    c.answer.done = true;
    return answered(c, now);
  } else if (r.cut && c.answer.status == 200 && c.answer.received < r.response) {
    ++answers;
    return finish(c, now);
  }
  again(c, how, now);
}

// Refused for want of room: later, from the request that has no answer.
void Clients::again(ClientConnection& c, const char* why, Nanos now) {
  ++refusals;
  if (!refusals_allowed_)
    return fail(c, std::string{why} + " in the middle, " + std::to_string(c.answer.received + c.l4_received) +
                       " bytes of the answer were there");
  ++c.attempts;  // as many as there is time for: places that a vanished client holds are free again after minutes
  stack().release(c.id, now);
  c.waiting = true;
  c.at = now + 1_ms * (20 + rng_.below(200)) * std::min<std::int64_t>(c.attempts, 20);
}

void Clients::finish(ClientConnection& c, Nanos now) {
  c.done = true;
  ++done_;
  if (c.tls) {
    c.tls->close();
    c.out += c.tls->take();
    write(c.id, c.out);
  }
  stack().consumed(c.id, static_cast<std::uint32_t>(c.unconsumed), now);
  stack().release(c.id, now);
  c.tls.reset();
}

}  // namespace sluice::sim
