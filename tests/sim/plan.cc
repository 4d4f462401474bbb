#include "tests/sim/plan.h"

namespace sluice::sim {

using namespace literals;

std::string content(std::uint64_t id, std::uint64_t at, std::size_t size) {
  std::string bytes(size, 0);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(content_byte(id, at + i));
  return bytes;
}

bool is_content(std::uint64_t id, std::uint64_t at, std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i)
    if (static_cast<std::uint8_t>(bytes[i]) != content_byte(id, at + i)) return false;
  return true;
}

namespace {

constexpr std::uint32_t usual_connections = 60;
static_assert(usual_connections >= least_connections);
// Who vanishes keeps places of the node's for minutes, until it gives up: fewer than its smallest pools have (scarce,
// in node.cc), and one of the two permits of "narrow".
constexpr std::uint32_t most_vanishing = 5, most_vanishing_on_narrow = 1;

// Kinds of requests, each with its route in policies.cc.
Request make_request(Rng& rng, std::uint32_t id, bool last) {
  Request r{.id = id, .method = "GET", .host = "www.example.com"};
  const std::uint32_t kind = rng.below(100);
  const std::string tail = "/" + std::to_string(id);
  r.response = rng.below(4) ? rng.below(6'000) : rng.below(60'000);
  r.framing = rng.below(3) ? Framing::length : Framing::chunked;
  if (kind < 30) {
    r.path = "/a" + tail, r.backend = "a";
  } else if (kind < 40) {
    r.path = "/a" + tail, r.fields = "x-canary: yes\r\n", r.backend = "b";
  } else if (kind < 48) {
    r.path = "/re" + std::to_string(rng.below(1000)) + tail, r.backend = "c";
  } else if (kind < 56) {
    r.path = "/any" + tail, r.host = "b.example.com", r.backend = "b";
  } else if (kind < 72) {
    r.path = "/swap" + tail, r.backend = "swap";
  } else if (kind < 77) {
    r.path = "/nowhere" + tail, r.host = "b.example.org", r.status = 404;
  } else if (kind < 82) {
    r.path = "/direct", r.status = 203, r.response = 11;
  } else if (kind < 86) {
    r.path = "/refused" + tail, r.status = 502;
  } else if (kind < 89) {
    r.path = "/gone" + tail, r.status = 504;
  } else if (kind < 92) {
    r.path = "/mute" + tail, r.status = 504;
  } else {
    r.path = "/narrow" + tail, r.backend = "narrow", r.delay = 1_ms * (1 + rng.below(20));
  }
  if (r.backend.empty()) {
    if (r.status != 203) r.response = 0;
    return r;
  }
  const std::uint32_t method = rng.below(10);
  if (method == 0) r.method = "HEAD";
  if (method >= 6) {
    r.method = method >= 9 ? "PUT" : "POST";
    r.body = rng.below(3) ? rng.below(8'000) : rng.below(60'000);
    r.chunked = rng.below(2);
    if (r.body > 1000 && rng.below(4) == 0) r.fields += "Expect: 100-continue\r\n";
  }
  if (rng.below(8) == 0) r.delay += 1_ms * rng.below(300);
  if (last && rng.below(4) == 0) {
    r.framing = Framing::close;
    if (rng.below(3) == 0 && r.method == "GET") r.cut = true, r.framing = Framing::length, r.response += 20'000;
  }
  return r;
}

ConnectionPlan make_connection(Rng& rng, std::uint32_t index, std::uint32_t& id, std::uint32_t& vanishing) {
  ConnectionPlan c;
  c.kind = index % 12 < 6    ? ConnectionPlan::Kind::https
           : index % 12 < 9  ? ConnectionPlan::Kind::http
           : index % 12 < 11 ? ConnectionPlan::Kind::l4
                             : ConnectionPlan::Kind::udp;
  c.ip6 = rng.below(4) == 0;
  c.start = 1_us * rng.below(1'500'000);
  if (rng.below(8) == 0) c.read_rate = 50 + rng.below(200);
  if (c.kind == ConnectionPlan::Kind::udp) {
    c.requests.push_back({.id = id++, .backend = "udp"});
    c.requests.back().body = 1 + rng.below(8);
    return c;
  }
  if (c.kind == ConnectionPlan::Kind::l4) {
    c.ip6 = false;
    c.requests.push_back({.id = id++, .backend = "l4", .response = rng.below(40'000)});
    c.requests.back().body = 1 + rng.below(40'000);
    if (index % 24 == 9) c.requests.back().delay = 7_s;  // longer than a flow lives behind a RST
    return c;
  }
  if (rng.below(12) == 0) {
    const Nanos after = 1_ms * rng.below(400);
    if (vanishing < most_vanishing) c.vanishes = after, ++vanishing;
  }
  if (rng.below(4) == 0) c.stalls_at = 1 + rng.below(20'000);
  const std::uint32_t n = 1 + rng.below(4);
  for (std::uint32_t i = 0; i < n; ++i) {
    Request& r = c.requests.emplace_back(make_request(rng, id++, i + 1 == n));
    r.tls = c.kind == ConnectionPlan::Kind::https;
    if (r.backend == "narrow" && c.vanishes != Nanos::never() && vanishing > most_vanishing_on_narrow)
      r.path = "/a/" + std::to_string(r.id), r.backend = "a";
  }
  return c;
}

std::uint64_t certain_bytes(const ConnectionPlan& c) {
  std::uint64_t bytes = 0;
  if (c.kind == ConnectionPlan::Kind::udp || c.vanishes != Nanos::never()) return bytes;
  for (const Request& r : c.requests) bytes += r.body + (r.method == "HEAD" || r.cut ? 0 : r.response);
  return bytes;
}

}  // namespace

Plan make_plan(Rng& rng) {
  Plan plan;
  std::uint32_t id = 1, connections = 0, vanishing = 0;
  // As many as it takes for what a seed must carry.
  while (connections < usual_connections || plan.certain_bytes < least_bytes ||
         plan.certain_tls_bytes < least_bytes / 2) {
    const ConnectionPlan& made = plan.connections.emplace_back(make_connection(rng, connections++, id, vanishing));
    plan.certain_bytes += certain_bytes(made);
    if (made.kind == ConnectionPlan::Kind::https) plan.certain_tls_bytes += certain_bytes(made);
  }
  plan.by_id.resize(id);
  for (const ConnectionPlan& c : plan.connections)
    for (const Request& r : c.requests) plan.by_id[r.id] = &r;
  return plan;
}

}  // namespace sluice::sim
