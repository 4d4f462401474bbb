#include "dataplane/packet/buffers.h"

#include <rte_mbuf_pool_ops.h>

#include <cstdio>

#include "dataplane/port/memory.h"

namespace sluice {

namespace {

// Without hugepages DPDK would keep every buffer within one small page, in case a device wants contiguous memory, and
// waste half of it. The ports that run so (virtual ones) do not.
rte_mempool* make_pool(const char* name, unsigned count, unsigned cache_size, std::uint16_t data_room, int socket,
                       const char* order) {
  if (memory_is_huge())
    return rte_pktmbuf_pool_create_by_ops(name, count, cache_size, sizeof(Meta), data_room, socket, order);
  const unsigned size = sizeof(rte_mbuf) + sizeof(Meta) + data_room;
  rte_mempool* pool = rte_mempool_create_empty(name, count, size, cache_size, sizeof(rte_pktmbuf_pool_private), socket,
                                               RTE_MEMPOOL_F_NO_IOVA_CONTIG);
  if (!pool) return nullptr;
  rte_pktmbuf_pool_private sizes{.mbuf_data_room_size = data_room, .mbuf_priv_size = sizeof(Meta), .flags = 0};
  if (rte_mempool_set_ops_byname(pool, order, nullptr) == 0) {
    rte_pktmbuf_pool_init(pool, &sizes);
    if (rte_mempool_populate_default(pool) >= 0) {
      rte_mempool_obj_iter(pool, rte_pktmbuf_init, nullptr);
      return pool;
    }
  }
  rte_mempool_free(pool);
  return nullptr;
}

// What overflows an lcore's cache comes back first: DPDK's ring would hand out the buffers that have lain longest, each
// of them far away. (A DPDK without its stack driver has the ring.)
rte_mempool* make_pool(const char* name, unsigned count, unsigned cache_size, std::uint16_t data_room, int socket) {
  rte_mempool* pool = make_pool(name, count, cache_size, data_room, socket, "lf_stack");
  return pool ? pool : make_pool(name, count, cache_size, data_room, socket, rte_mbuf_best_mempool_ops());
}

}  // namespace

Buffers::Buffers(const char* name, unsigned data_count, unsigned slice_count, unsigned cache_size, int socket) {
  char pool_name[RTE_MEMPOOL_NAMESIZE];
  std::snprintf(pool_name, sizeof pool_name, "%s_data", name);
  data_ = make_pool(pool_name, data_count, cache_size, buffer_headroom + buffer_data_size, socket);
  std::snprintf(pool_name, sizeof pool_name, "%s_slices", name);
  if (data_) slices_ = make_pool(pool_name, slice_count, cache_size, 0, socket);
}

Buffers::~Buffers() {
  rte_mempool_free(slices_);
  rte_mempool_free(data_);
}

Packet Buffers::slice(rte_mbuf* segment, std::uint32_t offset, std::uint32_t size) {
  DCHECK(offset + size <= segment->data_len);
  rte_mbuf* mbuf = rte_mbuf_raw_alloc(slices_);
  if (!mbuf) return {};
  if (RTE_MBUF_HAS_EXTBUF(segment)) [[unlikely]] {
    rte_pktmbuf_attach(mbuf, segment);
    mbuf->ol_flags = RTE_MBUF_F_EXTERNAL;
  } else {  // the same without what it copies of a received packet
    rte_mbuf_refcnt_update(rte_mbuf_from_indirect(segment), 1);
    mbuf->priv_size = segment->priv_size;
    mbuf->buf_addr = segment->buf_addr;
    rte_mbuf_iova_set(mbuf, rte_mbuf_iova_get(segment));
    mbuf->buf_len = segment->buf_len;
    mbuf->ol_flags = RTE_MBUF_F_INDIRECT;
  }
  mbuf->tx_offload = 0;
  mbuf->data_off = static_cast<std::uint16_t>(segment->data_off + offset);
  mbuf->data_len = static_cast<std::uint16_t>(size);
  mbuf->pkt_len = size;
  return Packet{mbuf};
}

unsigned Buffers::data_free() const { return rte_mempool_avail_count(data_); }
unsigned Buffers::slices_free() const { return rte_mempool_avail_count(slices_); }

}  // namespace sluice
