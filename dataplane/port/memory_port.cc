#include "dataplane/port/memory_port.h"

#include <algorithm>

namespace sluice {

Packet copy_frame(const rte_mbuf* frame, Buffers& buffers) {
  Packet copy = buffers.make();
  if (!copy) return {};
  rte_mbuf *head = copy.get(), *tail = head;
  for (const rte_mbuf* segment = frame; segment; segment = segment->next) {
    const auto* from = rte_pktmbuf_mtod(segment, const std::uint8_t*);
    for (std::uint16_t done = 0; done < segment->data_len;) {
      if (rte_pktmbuf_tailroom(tail) == 0) {
        Packet more = buffers.make();
        if (!more) return {};
        more.get()->data_off = 0;
        tail->next = more.release();
        tail = tail->next;
        ++head->nb_segs;
      }
      const auto n = std::min<std::uint16_t>(segment->data_len - done, rte_pktmbuf_tailroom(tail));
      std::memcpy(rte_pktmbuf_mtod_offset(tail, std::uint8_t*, tail->data_len), from + done, n);
      tail->data_len = static_cast<std::uint16_t>(tail->data_len + n);
      head->pkt_len += n;
      done = static_cast<std::uint16_t>(done + n);
    }
  }
  head->ol_flags = frame->ol_flags & RTE_MBUF_F_TX_OFFLOAD_MASK;
  head->tx_offload = frame->tx_offload;
  return copy;
}

MemoryPort::MemoryPort(const PortCaps& caps, Buffers& buffers, std::size_t ring_size) : buffers_(buffers) {
  CHECK(caps.queues > 0);
  caps_ = caps;
  for (std::uint16_t queue = 0; queue < caps.queues; ++queue) {
    in_.push_back(std::make_unique<Ring>(ring_size));
    out_.push_back(std::make_unique<Ring>(ring_size));
  }
}

MemoryPort::~MemoryPort() {
  if (peer_) peer_->peer_ = nullptr;
  for (auto* rings : {&in_, &out_})
    for (auto& ring : *rings)
      for (rte_mbuf* frame; ring->pop(frame);) free_buffers(frame);
}

void MemoryPort::connect(MemoryPort& a, MemoryPort& b) {
  a.peer_ = &b;
  b.peer_ = &a;
  for (auto [one, other] : {std::pair{&a, &b}, std::pair{&b, &a}})
    while (one->in_.size() < other->caps_.queues) one->in_.push_back(std::make_unique<Ring>(one->in_[0]->capacity()));
}

bool MemoryPort::push_copy(Ring& ring, const rte_mbuf* frame, Buffers& buffers, bool checksums_good) {
  Packet copy = copy_frame(frame, buffers);
  if (!copy) return false;
  if (checksums_good) copy.get()->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
  if (!ring.push(copy.get())) return false;
  copy.release();
  return true;
}

std::uint16_t MemoryPort::receive(std::uint16_t queue, std::span<rte_mbuf*> out, Nanos) {
  std::size_t n = 0;
  for (std::size_t sender = queue; sender < in_.size() && n < out.size(); sender += caps_.queues)
    n += in_[sender]->pop(out.subspan(n));
  return static_cast<std::uint16_t>(n);
}

std::uint16_t MemoryPort::transmit(std::uint16_t queue, std::span<rte_mbuf*> frames, Nanos) {
  std::uint16_t taken = 0;
  for (rte_mbuf* frame : frames) {
    if (peer_) {
      // A wire: what does not fit at the far end is lost there, not held back here.
      if (!push_copy(*peer_->in_[queue], frame, peer_->buffers_, peer_->caps_.rx_checksum))
        peer_->lost_.fetch_add(1, std::memory_order_relaxed);
    } else if (!push_copy(*out_[queue], frame, buffers_, false)) {
      break;
    }
    free_buffers(frame);
    ++taken;
  }
  return taken;
}

bool MemoryPort::inject(ByteView bytes, std::uint16_t queue) {
  Packet packet = buffers_.make();
  if (!packet || bytes.size() > rte_pktmbuf_tailroom(packet.get())) return false;
  std::memcpy(rte_pktmbuf_append(packet.get(), static_cast<std::uint16_t>(bytes.size())), bytes.data(), bytes.size());
  if (caps_.rx_checksum) packet.get()->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
  if (!in_[queue]->push(packet.get())) return false;
  packet.release();
  return true;
}

Packet MemoryPort::collect(std::uint16_t queue) {
  rte_mbuf* frame = nullptr;
  return out_[queue]->pop(frame) ? Packet{frame} : Packet{};
}

std::optional<std::vector<std::uint8_t>> MemoryPort::collect_bytes(std::uint16_t queue) {
  const Packet packet = collect(queue);
  if (!packet) return std::nullopt;
  std::vector<std::uint8_t> bytes;
  for (const rte_mbuf* segment = packet.get(); segment; segment = segment->next) {
    const auto* data = rte_pktmbuf_mtod(segment, const std::uint8_t*);
    bytes.insert(bytes.end(), data, data + segment->data_len);
  }
  return bytes;
}

}  // namespace sluice
