#include "dataplane/packet/cut.h"

#include <algorithm>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/wire/ip4.h"
#include "dataplane/packet/wire/ip6.h"
#include "dataplane/packet/wire/tcp.h"

namespace sluice {

Cutter::Cutter(Packet frame) {
  rte_mbuf* mbuf = frame.get();
  l2_ = mbuf->l2_len;
  l3_ = mbuf->l3_len;
  header_size_ = static_cast<std::uint16_t>(l2_ + l3_ + mbuf->l4_len);
  CHECK(mbuf->tso_segsz > 0 && header_size_ <= sizeof header_ && mbuf->data_len == header_size_);
  size_ = mbuf->tso_segsz;
  left_ = mbuf->pkt_len - header_size_;
  mbuf->tso_segsz = 0;
  lengths_ = mbuf->tx_offload;
  flags_ = mbuf->ol_flags & ~RTE_MBUF_F_TX_TCP_SEG;
  v4_ = mbuf->ol_flags & RTE_MBUF_F_TX_IPV4;
  tcp_flags_ = frame.at<wire::Tcp>(static_cast<std::uint16_t>(l2_ + l3_)).flags;
  std::memcpy(header_, frame.data(), header_size_);
  rest_ = std::exchange(mbuf->next, nullptr);
  mbuf->nb_segs = 1;
  mbuf->pkt_len = header_size_;
  head_ = std::move(frame);
}

Cutter::~Cutter() { rte_pktmbuf_free(rest_); }

Packet Cutter::next(Buffers& buffers) {
  if (left_ == 0) return {};
  const bool first = static_cast<bool>(head_);
  Packet frame = first ? std::move(head_) : buffers.make();
  if (!frame) return {};
  rte_mbuf* mbuf = frame.get();
  if (!first) {
    std::memcpy(frame.data(), header_, header_size_);
    mbuf->data_len = header_size_;
    mbuf->pkt_len = header_size_;
  }
  mbuf->tx_offload = lengths_;
  mbuf->ol_flags = flags_;
  const std::uint32_t size = std::min(left_, size_);
  if (!link(mbuf, size, buffers)) return {};
  address(frame, size, first, size == left_);
  left_ -= size;
  offset_ += size;
  return frame;
}

// The first `size` bytes of what is left, behind a frame's headers. False when descriptors ran out.
bool Cutter::link(rte_mbuf* head, std::uint32_t size, Buffers& buffers) {
  rte_mbuf* tail = head;
  head->pkt_len += size;
  while (size > 0) {
    rte_mbuf* segment = rest_;
    if (segment->data_len <= size) {
      rest_ = std::exchange(segment->next, nullptr);
      segment->nb_segs = 1;
      segment->pkt_len = segment->data_len;
    } else {
      Packet slice = buffers.slice(segment, 0, size);
      if (!slice) return false;
      rest_->data_off = static_cast<std::uint16_t>(rest_->data_off + size);
      rest_->data_len = static_cast<std::uint16_t>(rest_->data_len - size);
      segment = slice.release();
    }
    size -= segment->data_len;
    tail->next = segment;
    tail = segment;
    ++head->nb_segs;
  }
  return true;
}

// What is different in each frame's headers: lengths, sequence number, flags that are the first's or the last's alone,
// and the length in the pseudo-header's sum.
void Cutter::address(Packet& frame, std::uint32_t size, bool first, bool last) {
  const std::uint32_t l4_size = header_size_ - l2_ - l3_ + size;
  if (v4_) frame.at<wire::Ip4>(l2_).total_length = Be16{static_cast<std::uint16_t>(l3_ + l4_size)};
  else frame.at<wire::Ip6>(l2_).payload_length = Be16{static_cast<std::uint16_t>(l4_size)};
  auto& tcp = frame.at<wire::Tcp>(static_cast<std::uint16_t>(l2_ + l3_));
  tcp.sequence = Be32{tcp.sequence.get() + offset_};
  tcp.flags = tcp_flags_;
  if (!last) tcp.flags &= static_cast<std::uint8_t>(~(wire::Tcp::fin | wire::Tcp::psh));
  if (!first) tcp.flags &= static_cast<std::uint8_t>(~wire::Tcp::cwr);
  tcp.checksum = folded(Sum{tcp.checksum.raw()} + std::byteswap(l4_size));
}

}  // namespace sluice
