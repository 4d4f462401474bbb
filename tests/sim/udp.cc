#include "tests/sim/udp.h"

#include <cstdio>
#include <cstdlib>

namespace sluice::sim {

using namespace literals;

namespace {

const IpAddress vip = *parse_ip("10.0.0.21");
constexpr std::size_t head_size = 12;
constexpr std::uint16_t first_port = 12'000;

std::size_t size_of(std::uint32_t id, std::uint32_t n) { return (id * 977 + n * 331) % 1'150; }

std::string datagram(std::uint64_t body, std::uint32_t id, std::uint32_t n) {
  char head[head_size + 1];
  std::snprintf(head, sizeof head, "%08u%04u", id, n);
  return head + content(body, std::uint64_t{n} * 2'000, size_of(id, n));
}

// The flow and the number of a datagram; false when it is none of ours.
bool read_head(std::string_view bytes, std::uint32_t& id, std::uint32_t& n) {
  if (bytes.size() < head_size) return false;
  id = static_cast<std::uint32_t>(std::strtoul(std::string{bytes.substr(0, 8)}.c_str(), nullptr, 10));
  n = static_cast<std::uint32_t>(std::strtoul(std::string{bytes.substr(8, 4)}.c_str(), nullptr, 10));
  return true;
}

}  // namespace

UdpClients::UdpClients(const Plan& plan, const Shrink& shrink, const IpAddress& host, Nanos start, std::uint64_t seed)
    : host_(host), rng_(seed) {
  for (std::uint32_t i = 0; i < plan.connections.size(); ++i) {
    const ConnectionPlan& c = plan.connections[i];
    if (c.kind != ConnectionPlan::Kind::udp || !shrink.keeps(i)) continue;
    const Request& r = c.requests[0];
    flows_.push_back({.id = r.id,
                      .count = r.body,
                      .here = {host, static_cast<std::uint16_t>(first_port + i)},
                      .at = start + c.start});
  }
}

void UdpClients::act(Nanos now, std::vector<Datagram>& out) {
  for (Flow& flow : flows_) {
    if (flow.done || now < flow.at) continue;
    out.push_back({flow.here, {vip, udp_port}, datagram(request_body(flow.id), flow.id, flow.next)});
    flow.at = now + 100_ms + 1_ms * rng_.below(200);
  }
}

void UdpClients::take(const Endpoint& from, const Endpoint& to, std::string_view bytes, Nanos now) {
  std::uint32_t id = 0, n = 0;
  if (!failure_.empty()) return;
  for (Flow& flow : flows_) {
    if (flow.here != to) continue;
    if (from != Endpoint{vip, udp_port}) failure_ = "a datagram that does not come from the service";
    else if (!read_head(bytes, id, n) || id != flow.id || n > flow.next)
      failure_ = "UDP flow " + std::to_string(flow.id) + ": an answer to what it did not ask";
    else if (bytes != datagram(response_body(id), id, n))
      failure_ = "UDP flow " + std::to_string(flow.id) + ": bytes of an answer differ";
    if (!failure_.empty() || flow.done || n != flow.next) return;  // the same again, of an earlier one
    ++answered;
    flow.at = now + 1_ms * rng_.below(120);
    if (++flow.next < flow.count) return;
    flow.done = true;
    ++done_;
    return;
  }
  failure_ = "a datagram for nobody";
}

std::string UdpClients::unfinished() const {
  std::string text;
  for (const Flow& flow : flows_)
    if (!flow.done)
      text += " [UDP flow " + std::to_string(flow.id) + " at " + std::to_string(flow.next) + "/" +
              std::to_string(flow.count) + "]";
  return text;
}

std::string UdpServers::take(const Endpoint& to, std::string_view bytes) {
  std::uint32_t id = 0, n = 0;
  if (!failure_.empty() || to.port != udp_port || !read_head(bytes, id, n)) return {};
  if (id >= plan_.by_id.size() || !plan_.by_id[id] || plan_.by_id[id]->backend != "udp" ||
      bytes != datagram(request_body(id), id, n)) {
    failure_ = "a datagram that nobody sent";
    return {};
  }
  const auto [known, is_new] = backend_.emplace(id, to.address);
  if (known->second != to.address) {
    failure_ = "UDP flow " + std::to_string(id) + " has changed its backend";
    return {};
  }
  return datagram(response_body(id), id, n);
}

}  // namespace sluice::sim
