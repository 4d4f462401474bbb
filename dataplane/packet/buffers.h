// buffers.h - where packet buffers come from: one data pool and one pool of bare descriptors for a node.
// Data buffers carry a Meta in their private area. Descriptors have no data room; a slice of a buffer is a descriptor
// attached to it (DPDK "indirect" mbuf). Both pools have per-lcore caches; taking from them is safe on any worker.
#pragma once

#include "dataplane/packet/packet.h"

struct rte_mempool;

namespace sluice {

inline constexpr std::uint16_t buffer_data_size = 2048;  // bytes of data room behind the headroom
inline constexpr std::uint16_t buffer_headroom = RTE_PKTMBUF_HEADROOM;

class Buffers {
 public:
  // Takes `data_count` data buffers and `slice_count` descriptors from EAL's memory. nullptr pools mean it did not fit:
  // ok() is false and rte_errno says why. `name` keeps several sets in one process apart (tests, benchmarks).
  Buffers(const char* name, unsigned data_count, unsigned slice_count, unsigned cache_size, int socket);
  ~Buffers();
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;

  bool ok() const { return data_ && slices_; }
  // A fresh buffer with an empty data area behind the headroom and a default Meta, or nothing when the pool is empty.
  Packet make() {
    rte_mbuf* mbuf = rte_pktmbuf_alloc(data_);
    if (mbuf) new (rte_mbuf_to_priv(mbuf)) Meta{};
    return Packet{mbuf};
  }
  // A descriptor of bytes [offset, offset + size) of one segment, sharing its data; or nothing when the pool is empty.
  Packet slice(rte_mbuf* segment, std::uint32_t offset, std::uint32_t size);

  rte_mempool* data_pool() const { return data_; }
  rte_mempool* slice_pool() const { return slices_; }
  unsigned data_free() const;
  unsigned slices_free() const;

 private:
  rte_mempool* data_ = nullptr;
  rte_mempool* slices_ = nullptr;
};

}  // namespace sluice

// Tested in tests/unit/dataplane/packet/chain_test.cc, tests/unit/dataplane/packet/tx_queue_test.cc.
