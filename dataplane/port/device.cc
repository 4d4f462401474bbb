#include "dataplane/port/device.h"

#include <net/if.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>

namespace sluice {
namespace {

// What a virtual driver does, as read in DPDK 22.11 and tested (tests/unit/dataplane/port/device_test.cc); what it says
// is not asked. Virtual drivers' checksums are software as well, ours are as fast. A driver that is not here and has no
// PCI address is trusted with nothing.
struct Driver {
  const char* name;
  bool multi_segment;
  bool shared_buffers;
  bool spreads_itself;  // the kernel spreads over all queues that were asked for in the arguments: all are to be polled
};
constexpr Driver virtual_drivers[] = {
    {"net_af_packet", false, true, true},  // copies the first segment only
    {"net_af_xdp", false, false, true},    // sends stale memory for further segments; clones by an offset that may not
                                           // fit
    {"net_memif", true, true, false},
    {"net_null", true, true, false},
    {"net_pcap", true, true, false},
    {"net_ring", false, false, false},  // hands the very buffers to the receiver, who may write into them
    {"net_tap", true, true, false},
};
constexpr Driver unknown_virtual{"", false, false, false};

constexpr std::uint64_t checksum_rx =
    RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
constexpr std::uint64_t checksum_l4_tx = RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
constexpr std::uint64_t rss_types = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV4_UDP |
                                    RTE_ETH_RSS_NONFRAG_IPV6_TCP | RTE_ETH_RSS_NONFRAG_IPV6_UDP;
// Space of a frame besides the IP packet: Ethernet header and one VLAN tag.
constexpr std::uint16_t frame_overhead = RTE_ETHER_HDR_LEN + 4;

// "0000:3b:00.0": a PCI address has two colons and a dot before any argument.
bool is_pci(const std::string& device) {
  const std::string name = device.substr(0, device.find(','));
  return std::count(name.begin(), name.end(), ':') == 2 && name.find('.') != std::string::npos;
}

const Driver& virtual_driver(const std::string& name) {
  for (const Driver& driver : virtual_drivers)
    if (name == driver.name) return driver;
  return unknown_virtual;
}

std::string reason(int error) { return rte_strerror(error < 0 ? -error : error); }

// The MTU of a kernel interface, 0 when it cannot be read.
std::uint16_t kernel_mtu(unsigned if_index) {
  ifreq request{};
  if (!if_index || !if_indextoname(if_index, request.ifr_name)) return 0;
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return 0;
  const bool read = ioctl(socket, SIOCGIFMTU, &request) == 0;
  close(socket);
  return read ? static_cast<std::uint16_t>(std::clamp(request.ifr_mtu, 0, 65535)) : 0;
}

}  // namespace

std::expected<std::unique_ptr<Device>, std::string> open_device(const DeviceSpec& spec, Buffers& buffers) {
  std::unique_ptr<Device> device{new Device};
  device->spec_ = spec;
  auto done = device->attach();
  if (done) done = device->configure(buffers);
  if (!done) return std::unexpected("port " + spec.name + ": " + spec.device + ": " + done.error());
  return device;
}

std::expected<void, std::string> Device::attach() {
  const std::string name = spec_.device.substr(0, spec_.device.find(','));
  std::uint16_t id = 0;
  if (rte_eth_dev_get_port_by_name(name.c_str(), &id) != 0) {
    if (const int error = rte_dev_probe(spec_.device.c_str()))
      return std::unexpected("the device cannot be opened: " + reason(error));
    attached_ = true;
    if (rte_eth_dev_get_port_by_name(name.c_str(), &id) != 0) {
      if (rte_eal_hotplug_remove(is_pci(name) ? "pci" : "vdev", name.c_str()) != 0) {}  // nothing more can be done
      attached_ = false;
      return std::unexpected("it is not a network device");
    }
  }
  rte_eth_dev_owner owner{};
  if (rte_eth_dev_owner_new(&owner.id) != 0) return std::unexpected("no ethdev owner id is left");
  std::snprintf(owner.name, sizeof owner.name, "%s", spec_.name.c_str());
  if (rte_eth_dev_owner_set(id, &owner) != 0) return std::unexpected("the device belongs to another port");
  id_ = id;
  return {};
}

std::expected<void, std::string> Device::configure(Buffers& buffers) {
  rte_eth_dev_info info;
  if (const int error = rte_eth_dev_info_get(id_, &info))
    return std::unexpected("no device information: " + reason(error));
  driver_ = info.driver_name;
  const bool pci = is_pci(spec_.device);
  const Driver& driver = virtual_driver(driver_);

  const std::uint16_t offered = std::min(info.max_rx_queues, info.max_tx_queues);
  if (offered == 0) return std::unexpected("the device has no queue pair");
  caps_.queues = !pci && driver.spreads_itself ? offered : std::min(spec_.queues, offered);

  rte_eth_conf conf{};
  const std::uint64_t rx = pci ? info.rx_offload_capa : 0, tx = pci ? info.tx_offload_capa : 0;
  if ((rx & checksum_rx) == checksum_rx) conf.rxmode.offloads |= checksum_rx;
  if (tx & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM) conf.txmode.offloads |= RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
  if ((tx & checksum_l4_tx) == checksum_l4_tx) conf.txmode.offloads |= checksum_l4_tx;
  if ((info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) && (pci || driver.multi_segment))
    conf.txmode.offloads |= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
  if ((tx & RTE_ETH_TX_OFFLOAD_TCP_TSO) && (conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_MULTI_SEGS))
    conf.txmode.offloads |= RTE_ETH_TX_OFFLOAD_TCP_TSO;
  auto key = rss_key(info.hash_key_size);
  const bool try_rss = pci && caps_.queues > 1 && info.hash_key_size >= Rss::key_size && info.reta_size &&
                       std::has_single_bit(info.reta_size) && (info.flow_type_rss_offloads & rss_types) == rss_types;
  if (try_rss) {
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf = {.rss_key = key.data(), .rss_key_len = info.hash_key_size, .rss_hf = rss_types};
  }
  if (const int error = rte_eth_dev_configure(id_, caps_.queues, caps_.queues, &conf))
    return std::unexpected("the device refuses its configuration: " + reason(error));

  if (auto done = set_mtu(); !done) return done;
  std::uint16_t rx_ring = spec_.rx_ring, tx_ring = spec_.tx_ring;
  if (const int error = rte_eth_dev_adjust_nb_rx_tx_desc(id_, &rx_ring, &tx_ring))
    return std::unexpected("the device refuses its ring sizes: " + reason(error));
  const auto socket = static_cast<unsigned>(rte_eth_dev_socket_id(id_));
  for (std::uint16_t queue = 0; queue < caps_.queues; ++queue) {
    rte_eth_rxconf rx_conf = info.default_rxconf;
    rx_conf.offloads = conf.rxmode.offloads;
    rte_eth_txconf tx_conf = info.default_txconf;
    tx_conf.offloads = conf.txmode.offloads;
    if (const int error = rte_eth_rx_queue_setup(id_, queue, rx_ring, socket, &rx_conf, buffers.data_pool()))
      return std::unexpected("receive queue " + std::to_string(queue) +
                             " cannot be had (another process may have it): " + reason(error));
    if (const int error = rte_eth_tx_queue_setup(id_, queue, tx_ring, socket, &tx_conf))
      return std::unexpected("transmit queue " + std::to_string(queue) + ": " + reason(error));
  }
  if (const int error = rte_eth_dev_start(id_)) return std::unexpected("the device does not start: " + reason(error));
  started_ = true;

  rte_ether_addr mac;
  if (const int error = rte_eth_macaddr_get(id_, &mac)) return std::unexpected("no MAC address: " + reason(error));
  if (rte_is_zero_ether_addr(&mac)) rte_eth_random_addr(mac.addr_bytes);  // a port of net_ring has none
  std::memcpy(caps_.mac.bytes.data(), mac.addr_bytes, 6);
  // Where a driver knows neither mode it delivers everything anyway (memif, ring, pcap).
  const int promiscuous = spec_.promiscuous ? rte_eth_promiscuous_enable(id_) : 0;
  if (promiscuous != 0 && promiscuous != -ENOTSUP) return std::unexpected("promiscuous mode: " + reason(promiscuous));
  const int multicast = rte_eth_allmulticast_enable(id_);  // neighbour discovery (RFC 4861 7.2.1)
  if (multicast != 0 && multicast != -ENOTSUP && !spec_.promiscuous)
    return std::unexpected("multicast reception: " + reason(multicast));

  caps_.rss = try_rss && set_rss(rss_types);
  caps_.rx_checksum = (conf.rxmode.offloads & checksum_rx) == checksum_rx;
  caps_.tx_ip4_checksum = conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
  caps_.tx_l4_checksum = (conf.txmode.offloads & checksum_l4_tx) == checksum_l4_tx;
  caps_.tso = conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_TCP_TSO;
  caps_.multi_segment = pci ? conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_MULTI_SEGS : driver.multi_segment;
  caps_.shared_buffers = pci || driver.shared_buffers;
  return {};
}

std::expected<void, std::string> Device::set_mtu() {
  std::uint16_t mtu = 0;
  if (const int error = rte_eth_dev_get_mtu(id_, &mtu))
    return std::unexpected("the MTU cannot be read: " + reason(error));
  rte_eth_dev_info info;
  rte_eth_dev_info_get(id_, &info);
  const std::uint16_t kernel = kernel_mtu(info.if_index);
  if (kernel) mtu = kernel;
  const std::uint16_t wanted = spec_.mtu ? spec_.mtu : std::min<std::uint16_t>(mtu, buffer_data_size - frame_overhead);
  if (wanted > buffer_data_size - frame_overhead)
    return std::unexpected("MTU " + std::to_string(wanted) + " is more than a packet buffer holds (" +
                           std::to_string(buffer_data_size - frame_overhead) + ")");
  if (spec_.mtu && spec_.mtu != mtu) {
    const int error = rte_eth_dev_set_mtu(id_, spec_.mtu);
    // A driver without the call carries what fits its buffers; less than that is our own affair.
    if (error && !(error == -ENOTSUP && (spec_.mtu < mtu || !kernel)))
      return std::unexpected("MTU " + std::to_string(spec_.mtu) + ": " + reason(error));
  }
  caps_.mtu = wanted;
  return {};
}

// Sets key and indirection table and reads them back: a NIC that shares or fixes them has no RSS that we could predict.
bool Device::set_rss(std::uint64_t hash_types) {
  rte_eth_dev_info info;
  if (rte_eth_dev_info_get(id_, &info) != 0) return false;
  const auto key = rss_key(info.hash_key_size);
  std::vector<std::uint8_t> read_back(info.hash_key_size);
  rte_eth_rss_conf conf{.rss_key = read_back.data(), .rss_key_len = info.hash_key_size, .rss_hf = 0};
  if (rte_eth_dev_rss_hash_conf_get(id_, &conf) != 0 || read_back != key || (conf.rss_hf & hash_types) != hash_types)
    return false;
  std::vector<std::uint16_t> table(info.reta_size);
  std::vector<rte_eth_rss_reta_entry64> groups((info.reta_size + RTE_ETH_RETA_GROUP_SIZE - 1) /
                                               RTE_ETH_RETA_GROUP_SIZE);
  for (std::uint16_t i = 0; i < info.reta_size; ++i) {
    table[i] = static_cast<std::uint16_t>(i % caps_.queues);
    groups[i / RTE_ETH_RETA_GROUP_SIZE].mask = ~std::uint64_t{0};
    groups[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] = table[i];
  }
  if (rte_eth_dev_rss_reta_update(id_, groups.data(), info.reta_size) != 0) return false;
  rss_ = Rss{std::move(table)};
  return true;
}

Device::~Device() {
  if (started_) rte_eth_dev_stop(id_);
  if (id_ != no_port) rte_eth_dev_close(id_);
  if (attached_) {
    const std::string name = spec_.device.substr(0, spec_.device.find(','));
    if (rte_eal_hotplug_remove(is_pci(name) ? "pci" : "vdev", name.c_str()) != 0) {
    }  // closed already: its name is free
  }
}

std::uint16_t Device::receive(std::uint16_t queue, std::span<rte_mbuf*> out, Nanos) {
  return rte_eth_rx_burst(id_, queue, out.data(), static_cast<std::uint16_t>(out.size()));
}

std::uint16_t Device::transmit(std::uint16_t queue, std::span<rte_mbuf*> frames, Nanos) {
  return rte_eth_tx_burst(id_, queue, frames.data(), static_cast<std::uint16_t>(frames.size()));
}

bool Device::link_up() const {
  rte_eth_link link{};
  return rte_eth_link_get_nowait(id_, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

std::uint32_t Device::link_mbps() const {
  rte_eth_link link{};
  if (rte_eth_link_get_nowait(id_, &link) != 0 || link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN) return 0;
  return link.link_speed;
}

DeviceStats Device::stats() const {
  rte_eth_stats s{};
  if (rte_eth_stats_get(id_, &s) != 0) return {};
  return {.rx_packets = s.ipackets,
          .rx_bytes = s.ibytes,
          .tx_packets = s.opackets,
          .tx_bytes = s.obytes,
          .rx_missed = s.imissed,
          .rx_no_buffer = s.rx_nombuf,
          .rx_errors = s.ierrors,
          .tx_errors = s.oerrors};
}

}  // namespace sluice
