// host_egress.h - the way out of TCP's segments: routes, neighbours and transmit queues of the worker's Host.
#pragma once

#include <bit>

#include "dataplane/net/host.h"
#include "l4/tcp/egress.h"

namespace sluice {

class HostEgress final : public tcp::Egress {
 public:
  explicit HostEgress(Host& host) : host_(host) {}

  tcp::Path path(const IpAddress&, const IpAddress& remote, tcp::PathCache& cache) override {
    NextHop hop = std::bit_cast<NextHop>(cache);
    if (!host_.current(hop)) {
      hop = host_.route(remote);
      cache = std::bit_cast<tcp::PathCache>(hop);
    }
    if (!hop) return {};
    const PortCaps& caps = host_.caps(hop);
    return {.mtu = hop.mtu, .tso = caps.tso, .gather = caps.multi_segment && caps.shared_buffers};
  }
  void send(Packet packet, const IpAddress&, const IpAddress&, tcp::PathCache& cache, Nanos now) override {
    NextHop hop = std::bit_cast<NextHop>(cache);
    host_.send(std::move(packet), hop, now);
    cache = std::bit_cast<tcp::PathCache>(hop);
  }

 private:
  Host& host_;
};
static_assert(sizeof(NextHop) == sizeof(tcp::PathCache));

}  // namespace sluice
