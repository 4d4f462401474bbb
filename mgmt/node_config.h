// node_config.h - what a node is: its ports, workers, addresses, limits and places. Read from the node file (TOML)
// once, at start; policy (listeners, routes, clusters) comes over the socket instead. Plain data with its defaults. The
// keys, their meaning and their bounds stand once, in node_keys.h: the reader, its errors and docs/node.md are made
// from that.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/address.h"
#include "dataplane/base/log.h"
#include "dataplane/base/units.h"
#include "dataplane/port/eal.h"
#include "dataplane/port/impair.h"
#include "l4/local_addresses.h"
#include "l4/service.h"
#include "l4/tcp/config.h"
#include "l7/policy.h"

namespace sluice::mgmt {

struct VlanConfig {
  std::uint16_t id = 0;
  std::vector<Prefix> addresses;
  std::string exception;
};

struct PortConfig {
  std::string name;
  std::string device;  // PCI address or vdev string
  std::uint16_t mtu = 0;
  std::uint16_t rx_ring = 1024, tx_ring = 1024;
  bool promiscuous = true;
  std::vector<Prefix> addresses;  // untagged
  std::string exception;          // vdev string of the exception port, empty: none
  std::vector<VlanConfig> vlans;
  Impairment receive, transmit;  // trials only
  std::uint64_t impair_seed = 1;
};

struct RouteConfig {
  Prefix destination;
  IpAddress gateway;
};

// Addresses that we speak from.
struct SourceConfig {
  std::vector<IpAddress> addresses;  // empty: the interfaces' own
  PortRange ports;
};

enum class AccessFormat : std::uint8_t { none, text, json };

struct NodeConfig {
  std::string name = "sluice";
  std::string prefix = "sluice";  // of DPDK's runtime files; one for each instance on a machine
  std::uint16_t workers = 1;
  std::vector<std::int64_t> worker_cpus;  // empty: chosen, away from management where there is a CPU to spare
  std::int64_t management_cpu = -1;
  std::uint16_t handshake_cores = 0;
  std::uint32_t memory_mib = 512;
  Hugepages hugepages = Hugepages::automatic;
  bool idle_sleep = true;
  Nanos drain_timeout{30'000'000'000};

  std::vector<PortConfig> ports;
  std::vector<RouteConfig> routes;
  SourceConfig upstream{{}, {32768, 65535}};
  SourceConfig snat{{}, {10000, 32767}};

  std::string control_socket = "/run/sluice/sluice.sock";
  std::string control_group = "sluice";
  std::string state_directory = "/var/lib/sluice";
  std::string metrics_listen;  // "127.0.0.1:9090"; empty: none
  LogSeverity log_level = LogSeverity::info;
  AccessFormat access_format = AccessFormat::none;
  std::string access_path = "-";  // "-": standard output

  tcp::Ecn ecn = tcp::Ecn::accept;
  tcp::SynCookies syn_cookies = tcp::SynCookies::under_pressure;
  bool pacing = true;
  std::uint8_t quick_acks = 0;

  // Limits. Of one worker, unless said.
  std::uint32_t connections = 16384;
  std::uint32_t exchanges = 4096;
  std::uint32_t tls_sessions = 8192;
  std::uint32_t tls_handshakes = 512;
  std::uint32_t flows = 65536;
  std::uint32_t neighbours = 4096;
  std::uint32_t held_buffers = 0;  // 0: what the memory allows
  std::uint32_t receive_window = 4 * 1024 * 1024;
  std::uint32_t send_buffer = 4 * 1024 * 1024;
  Nanos time_wait{60'000'000'000};
  policy::ObjectLimits objects;  // of the node
};

struct NodeError {
  std::uint32_t line = 0;  // 0: the file as a whole
  std::string key;         // "port[0].mtu"
  std::string text;
};
std::string to_text(const NodeError& error, std::string_view file);

// All errors at once, each with its line. Unknown keys are errors.
std::expected<NodeConfig, std::vector<NodeError>> parse_node(std::string_view toml);
std::expected<NodeConfig, std::vector<NodeError>> read_node_file(const std::string& path);
// docs/node.md.
std::string node_reference();

}  // namespace sluice::mgmt
