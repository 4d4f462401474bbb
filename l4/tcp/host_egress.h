// host_egress.h - TCP's way out through net::Host. One per worker, used for one output() at a time. Ways that were
// found lately are kept by destination: a new connection and an answer to nobody seldom go where nothing went before.
#pragma once

#include <array>
#include <bit>

#include "dataplane/base/hash.h"
#include "dataplane/net/host.h"
#include "l4/tcp/egress.h"

namespace sluice::tcp {

class HostEgress final : public Egress {
 public:
  explicit HostEgress(Host& host) : host_(host) {}

  Path path(const IpAddress& local, const IpAddress& remote, PathCache& cache) override {
    NextHop hop = std::bit_cast<NextHop>(cache);
    if (!host_.current(hop)) [[unlikely]]
      cache = std::bit_cast<PathCache>(hop = lately(remote));
    if (!hop) return {};
    const PortCaps& caps = host_.caps(hop);
    const bool gather = caps.multi_segment && caps.shared_buffers;
    return {hop.mtu, gather, gather};  // what the port does not cut, its TxQueue does
  }
  void send(Packet packet, const IpAddress& local, const IpAddress& remote, PathCache& cache, Nanos now) override {
    NextHop hop = std::bit_cast<NextHop>(cache);
    const Neighbours::Id known = hop.neighbour;
    host_.send(std::move(packet), hop, now);
    if (hop.neighbour == known) [[likely]]
      return;
    cache = std::bit_cast<PathCache>(hop);
    way_to(remote) = {remote, hop};
  }

 private:
  struct Way {
    IpAddress destination;
    NextHop hop;
  };
  Way& way_to(const IpAddress& destination) { return ways_[end_hash(destination, 0) % ways_.size()]; }
  NextHop lately(const IpAddress& remote) {
    const Way& way = way_to(remote);
    return way.destination == remote && host_.current(way.hop) ? way.hop : host_.route(remote);
  }

  Host& host_;
  std::array<Way, 256> ways_{};
};

}  // namespace sluice::tcp

// Tested in tests/support/node.cc.
