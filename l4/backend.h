// backend.h - a backend of L4 services: a stable endpoint id, where it is, and its share of new flows.
#pragma once

#include "dataplane/base/address.h"

namespace sluice {

// Stable id of an endpoint, from mgmt's registry: dense, and the same endpoint keeps it across policies.
using EndpointId = std::uint32_t;

struct Backend {
  EndpointId endpoint = 0;
  Endpoint at;               // port 0: the service's destination port is kept
  std::uint32_t weight = 1;  // 0 drains: no new flows, old ones go on
};

}  // namespace sluice

// Tested in tests/unit/l4/service_test.cc, tests/unit/l4/maglev_test.cc.
