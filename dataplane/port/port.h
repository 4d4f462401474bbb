// port.h - what the pipeline sees of a port: bursts in, bursts out, and what the port can do.
// One queue pair belongs to one worker. Implementations: Device (any DPDK ethdev, device.h), in-memory and simulated
// ports (tests, perf), and Impaired (impair.h), which wraps another port. A virtual call a burst costs nothing beside
// the burst.
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/base/address.h"
#include "dataplane/packet/packet.h"

namespace sluice {

// What a port takes and gives. Decided once, when it is opened; what is absent is done in software.
struct PortCaps {
  MacAddress mac;
  std::uint16_t mtu = 1500;      // of IP packets
  std::uint16_t queues = 1;      // queue pairs it was opened with
  bool rss = false;              // it spreads by a hash whose function and key are known
  bool tx_ip4_checksum = false;  // fills IPv4, TCP and UDP checksums on transmit
  bool tx_l4_checksum = false;
  bool rx_checksum = false;     // reports verified checksums in ol_flags
  bool tso = false;             // cuts TCP segments of up to 64 kB
  bool multi_segment = false;   // transmits chained buffers
  bool shared_buffers = false;  // transmits buffers that somebody else still refers to
};

class Port {
 public:
  virtual ~Port() = default;

  const PortCaps& caps() const { return caps_; }
  // Receives up to out.size() frames from a queue; the caller owns them. `now` lets simulated ports hold frames back.
  virtual std::uint16_t receive(std::uint16_t queue, std::span<rte_mbuf*> out, Nanos now) = 0;
  // Transmits from the front; returns how many were taken. The rest still belongs to the caller.
  virtual std::uint16_t transmit(std::uint16_t queue, std::span<rte_mbuf*> frames, Nanos now) = 0;

 protected:
  PortCaps caps_;
};

}  // namespace sluice

// Tested in tests/unit/dataplane/port/memory_port_test.cc, tests/unit/dataplane/port/device_test.cc.
