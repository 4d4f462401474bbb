// host_egress.h - TCP's way out through net::Host. One per worker, used for one output() at a time.
#pragma once

#include <bit>

#include "dataplane/net/host.h"
#include "l4/tcp/egress.h"

namespace sluice::tcp {

class HostEgress final : public Egress {
 public:
  explicit HostEgress(Host& host) : host_(host) {}

  Path path(const IpAddress& local, const IpAddress& remote, PathCache& cache) override {
    NextHop hop = std::bit_cast<NextHop>(cache);
    if (!host_.current(hop)) hop = host_.route(remote);
    cache = std::bit_cast<PathCache>(hop);
    if (!hop) return {};
    const PortCaps& caps = host_.caps(hop);
    return {hop.mtu, caps.tso && caps.tx_l4_checksum, caps.multi_segment && caps.shared_buffers};
  }
  void send(Packet packet, const IpAddress& local, const IpAddress& remote, PathCache& cache, Nanos now) override {
    NextHop hop = std::bit_cast<NextHop>(cache);
    host_.send(std::move(packet), hop, now);
    cache = std::bit_cast<PathCache>(hop);
  }

 private:
  Host& host_;
};

}  // namespace sluice::tcp

// Tested in tests/support/node.cc.
