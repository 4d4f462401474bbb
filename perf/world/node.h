// node.h - the node that proxies HTTP in the scenarios: one port, one address of its own, one listener that sends all
// requests to a cluster of one endpoint.
#pragma once

#include "perf/rig.h"

namespace sluice::perf {

struct NodeSpec {
  MacAddress mac;
  std::uint32_t address = 0, vip = 0, backend = 0;
  std::uint8_t prefix = 24;  // on the link
  std::uint16_t vip_port = 80, backend_port = 8080;
  PortRange sources{10'000, 60'000};  // towards the backend
};

RigSpec node_of(Port& port, const NodeSpec& spec);

}  // namespace sluice::perf
