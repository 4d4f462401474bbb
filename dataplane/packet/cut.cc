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
  CHECK(mbuf->tso_segsz > 0 && header_size_ <= room && mbuf->data_len == header_size_);
  size_ = mbuf->tso_segsz;
  left_ = mbuf->pkt_len - header_size_;
  mbuf->tso_segsz = 0;
  lengths_ = mbuf->tx_offload;
  flags_ = mbuf->ol_flags & ~RTE_MBUF_F_TX_TCP_SEG;
  v4_ = mbuf->ol_flags & RTE_MBUF_F_TX_IPV4;
  tcp_flags_ = frame.at<wire::Tcp>(static_cast<std::uint16_t>(l2_ + l3_)).flags;
  std::memcpy(headers_ + room - header_size_, frame.data(), header_size_);
  rest_ = std::exchange(mbuf->next, nullptr);
  mbuf->nb_segs = 1;
  mbuf->pkt_len = header_size_;
  head_ = std::move(frame);
}

Cutter::~Cutter() { rte_pktmbuf_free(rest_); }

Packet Cutter::next(Buffers& buffers) {
  if (left_ == 0) return {};
  const std::uint32_t size = std::min(left_, size_);
  Packet frame = head_ ? Packet{} : in_front_of_payload(size);
  if (!frame) frame = behind_headers(size, buffers);
  if (!frame) return {};
  frame.get()->tx_offload = lengths_;
  address(frame, size);
  left_ -= size;
  offset_ += size;
  return frame;
}

// The slice that is this frame's payload as the whole frame, if its buffer's bytes in front of it are ours: two
// references, the sender's queue and this slice, so that no frame under way stands there.
Packet Cutter::in_front_of_payload(std::uint32_t size) {
  rte_mbuf* mbuf = rest_;
  if (mbuf->data_len != size || !(mbuf->ol_flags & leading_slice) || !RTE_MBUF_CLONED(mbuf) || mbuf->data_off < room ||
      rte_mbuf_refcnt_read(rte_mbuf_from_indirect(mbuf)) != 2)
    return {};
  rest_ = std::exchange(mbuf->next, nullptr);
  std::memcpy(rte_pktmbuf_mtod(mbuf, std::uint8_t*) - room, headers_, room);
  mbuf->data_off = static_cast<std::uint16_t>(mbuf->data_off - header_size_);
  mbuf->data_len = static_cast<std::uint16_t>(mbuf->data_len + header_size_);
  mbuf->pkt_len = mbuf->data_len;
  mbuf->ol_flags = flags_ | RTE_MBUF_F_INDIRECT;
  return Packet{mbuf};
}

Packet Cutter::behind_headers(std::uint32_t size, Buffers& buffers) {
  Packet frame = head_ ? std::move(head_) : buffers.make();
  if (!frame) return {};
  rte_mbuf* mbuf = frame.get();
  if (mbuf->data_len == 0) {  // a fresh one
    std::memcpy(frame.data() - room, headers_, room);
    mbuf->data_off = static_cast<std::uint16_t>(mbuf->data_off - header_size_);
    mbuf->data_len = header_size_;
    mbuf->pkt_len = header_size_;
  }
  mbuf->ol_flags = flags_;
  return link(mbuf, size, buffers) ? std::move(frame) : Packet{};
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
      segment->data_off = static_cast<std::uint16_t>(segment->data_off + size);
      segment->data_len = static_cast<std::uint16_t>(segment->data_len - size);
      segment->ol_flags &= ~leading_slice;
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
void Cutter::address(Packet& frame, std::uint32_t size) {
  const std::uint32_t l4_size = header_size_ - l2_ - l3_ + size;
  if (v4_) frame.at<wire::Ip4>(l2_).total_length = Be16{static_cast<std::uint16_t>(l3_ + l4_size)};
  else frame.at<wire::Ip6>(l2_).payload_length = Be16{static_cast<std::uint16_t>(l4_size)};
  auto& tcp = frame.at<wire::Tcp>(static_cast<std::uint16_t>(l2_ + l3_));
  tcp.sequence = Be32{tcp.sequence.get() + offset_};
  tcp.flags = tcp_flags_;
  if (size < left_) tcp.flags &= static_cast<std::uint8_t>(~(wire::Tcp::fin | wire::Tcp::psh));
  if (offset_ > 0) tcp.flags &= static_cast<std::uint8_t>(~wire::Tcp::cwr);
  tcp.checksum = folded(Sum{tcp.checksum.raw()} + std::byteswap(l4_size));
}

}  // namespace sluice
