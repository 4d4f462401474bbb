// device.h - a port over any DPDK ethdev: a PCI address or a vdev (af_xdp, af_packet, tap, memif, pcap, ring, null).
// Opened and closed while the node runs, by the management thread; queue q then belongs to one worker. What the driver
// says it can do is corrected by a table of what it does (device.cc). RSS counts only where hash function, key and
// indirection table could be set and read back: rss() then tells which queue a tuple arrives on.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>

#include "dataplane/packet/buffers.h"
#include "dataplane/port/port.h"
#include "dataplane/port/rss.h"

namespace sluice {

struct DeviceSpec {
  std::string name;    // the port's name in the node file, for messages
  std::string device;  // "0000:3b:00.0", or a vdev with its arguments: "net_af_xdp0,iface=eth1"
  // Wanted: one for each worker. caps().queues says what it got: min(wanted, what the device has); but where the kernel
  // spreads over the queues by itself (af_xdp, af_packet with several), all of them, since each must be polled: then
  // queue q is polled by worker q modulo the workers.
  std::uint16_t queues = 1;
  std::uint16_t rx_ring = 1024, tx_ring = 1024;  // frames; adjusted to what the device takes
  std::uint16_t mtu = 0;                         // 0: what the device or its kernel interface has
  bool promiscuous = true;  // captures traffic whatever its destination MAC (mesh, VLANs, exception port)
};

struct DeviceStats {
  std::uint64_t rx_packets = 0, rx_bytes = 0, tx_packets = 0, tx_bytes = 0;
  std::uint64_t rx_missed = 0;     // the RX ring was full
  std::uint64_t rx_no_buffer = 0;  // the pool was empty
  std::uint64_t rx_errors = 0, tx_errors = 0;
};

class Device final : public Port {
 public:
  ~Device() override;

  std::uint16_t receive(std::uint16_t queue, std::span<rte_mbuf*> out, Nanos now) override;
  std::uint16_t transmit(std::uint16_t queue, std::span<rte_mbuf*> frames, Nanos now) override;

  const std::string& name() const { return spec_.name; }
  const std::string& driver() const { return driver_; }
  const Rss* rss() const { return caps_.rss ? &rss_ : nullptr; }
  // Management thread only.
  bool link_up() const;
  std::uint32_t link_mbps() const;
  DeviceStats stats() const;

 private:
  friend std::expected<std::unique_ptr<Device>, std::string> open_device(const DeviceSpec&, Buffers&);
  Device() = default;
  std::expected<void, std::string> attach();
  std::expected<void, std::string> configure(Buffers& buffers);
  std::expected<void, std::string> set_mtu();
  bool set_rss(std::uint64_t hash_types);

  DeviceSpec spec_;
  std::string driver_;
  std::uint16_t id_ = no_port;
  bool attached_ = false, started_ = false;
  Rss rss_;
};

// Adds the device to the running EAL, configures and starts it. `buffers` feeds its RX rings and outlives it. On
// failure one line that names the port, and nothing is left behind.
std::expected<std::unique_ptr<Device>, std::string> open_device(const DeviceSpec& spec, Buffers& buffers);

}  // namespace sluice
