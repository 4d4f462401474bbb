#include "dataplane/packet/buffers.h"

#include <cstdio>

namespace sluice {

Buffers::Buffers(const char* name, unsigned data_count, unsigned slice_count, unsigned cache_size, int socket) {
  char pool_name[RTE_MEMPOOL_NAMESIZE];
  std::snprintf(pool_name, sizeof pool_name, "%s_data", name);
  data_ = rte_pktmbuf_pool_create(pool_name, data_count, cache_size, sizeof(Meta), buffer_headroom + buffer_data_size,
                                  socket);
  std::snprintf(pool_name, sizeof pool_name, "%s_slices", name);
  if (data_) slices_ = rte_pktmbuf_pool_create(pool_name, slice_count, cache_size, sizeof(Meta), 0, socket);
}

Buffers::~Buffers() {
  rte_mempool_free(slices_);
  rte_mempool_free(data_);
}

Packet Buffers::slice(rte_mbuf* segment, std::uint32_t offset, std::uint32_t size) {
  DCHECK(offset + size <= segment->data_len);
  rte_mbuf* mbuf = rte_pktmbuf_alloc(slices_);
  if (!mbuf) return {};
  rte_pktmbuf_attach(mbuf, segment);
  mbuf->next = nullptr;
  mbuf->nb_segs = 1;
  mbuf->data_off = static_cast<std::uint16_t>(segment->data_off + offset);
  mbuf->data_len = static_cast<std::uint16_t>(size);
  mbuf->pkt_len = size;
  mbuf->ol_flags &= RTE_MBUF_F_INDIRECT;
  return Packet{mbuf};
}

unsigned Buffers::data_free() const { return rte_mempool_avail_count(data_); }
unsigned Buffers::slices_free() const { return rte_mempool_avail_count(slices_); }

}  // namespace sluice
