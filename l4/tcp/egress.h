// egress.h - where segments go: what TCP asks of the layer below. net::Host is behind it in the appliance
// (host_egress.h), a vector in the tests. One worker; called in output() only.
#pragma once

#include "dataplane/base/address.h"
#include "dataplane/packet/packet.h"

namespace sluice::tcp {

// What the way to a destination takes. A zero mtu: there is no route (now).
struct Path {
  std::uint16_t mtu = 0;  // of IP packets
  bool tso = false;       // cuts segments of up to 64 kB
  bool gather = false;    // takes multi-segment and shared buffers: payload need not be copied
};

// The cached choice of route of one connection: opaque to TCP, owned by the connection, kept by the egress.
struct alignas(8) PathCache {
  std::uint8_t bytes[16] = {};
};

class Egress {
 public:
  virtual ~Egress() = default;
  virtual Path path(const IpAddress& local, const IpAddress& remote, PathCache& cache) = 0;
  // An IP packet: data starts at the IP header, l2_len 0, l3_len, l4_len and ol_flags ask for the IPv4 and TCP
  // checksums (pseudo-header sum filled in) and for TSO (tso_segsz) where path() offered it. Loss here is loss on the
  // wire.
  virtual void send(Packet packet, const IpAddress& local, const IpAddress& remote, PathCache& cache, Nanos now) = 0;
};

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/stack_test.cc.
