// stats.h - what happened to L4 services and their backends, by stable id. One block a worker: written by it, read by
// anyone (l7/stats, management) at any time; a reader sums the blocks of all workers. Fixed size: an id beyond it is
// counted nowhere, so size by the registry's limits.
#pragma once

#include <memory>

#include "l4/service.h"
#include "l4/shared_word.h"

namespace sluice {

struct L4Stats {
  struct alignas(64) Block {
    SharedWord<std::uint64_t> packets_in, bytes_in;    // from clients; bytes of the IP packets
    SharedWord<std::uint64_t> packets_out, bytes_out;  // to clients
    SharedWord<std::uint64_t> flows_new;
    SharedWord<std::uint64_t> flows_active;  // gauge: summed over workers it is the number of flows now
    SharedWord<std::uint64_t> refused;       // new flows refused: no backend, no SNAT port, table full
  };

  L4Stats(std::uint32_t services, std::uint32_t endpoints)
      : services_max(services),
        endpoints_max(endpoints),
        services_(new Block[services + 1]),
        endpoints_(new Block[endpoints + 1]) {}

  // The last block takes what has no place of its own.
  Block& service(ServiceId id) { return services_[id < services_max ? id : services_max]; }
  Block& endpoint(EndpointId id) { return endpoints_[id < endpoints_max ? id : endpoints_max]; }
  const Block& service(ServiceId id) const { return services_[id < services_max ? id : services_max]; }
  const Block& endpoint(EndpointId id) const { return endpoints_[id < endpoints_max ? id : endpoints_max]; }

  const std::uint32_t services_max, endpoints_max;

 private:
  std::unique_ptr<Block[]> services_, endpoints_;
};

}  // namespace sluice

// Tested in tests/unit/l4/forward_test.cc.
