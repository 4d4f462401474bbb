#include "dataplane/packet/tx_queue.h"

#include <algorithm>

#include "dataplane/packet/chain.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/cut.h"
#include "dataplane/packet/wire/ip4.h"
#include "dataplane/packet/wire/tcp.h"
#include "dataplane/packet/wire/udp.h"

namespace sluice {

namespace {

// Whether the segment stands in its own buffer and nobody else refers to that.
bool ours_alone(const rte_mbuf* segment) { return RTE_MBUF_DIRECT(segment) && rte_mbuf_refcnt_read(segment) == 1; }

bool all_ours_alone(const rte_mbuf* segment) {
  for (; segment; segment = segment->next)
    if (!ours_alone(segment)) return false;
  return true;
}

// In a buffer of their own, or in front of payload that its sender's queue refers to as well (cut.h).
bool headers_are_ours(const rte_mbuf* frame) {
  return sole_owner(frame) ||
         (RTE_MBUF_CLONED(frame) && rte_mbuf_refcnt_read(rte_mbuf_from_indirect(const_cast<rte_mbuf*>(frame))) == 2);
}

void fill_ip4_checksum(Packet& frame) {
  rte_mbuf* mbuf = frame.get();
  DCHECK(headers_are_ours(mbuf));
  auto& header = frame.at<wire::Ip4>(mbuf->l2_len);
  header.checksum = Be16{};
  header.checksum = checksum(add_bytes(0, frame.bytes().subspan(mbuf->l2_len, mbuf->l3_len)));
  mbuf->ol_flags &= ~RTE_MBUF_F_TX_IP_CKSUM;
}

// The pseudo-header sum stands in the field already, so that the sum over everything completes it.
void fill_l4_checksum(Packet& frame, std::uint64_t request) {
  rte_mbuf* mbuf = frame.get();
  DCHECK(headers_are_ours(mbuf));
  const std::uint16_t l4_offset = mbuf->l2_len + mbuf->l3_len;
  const Sum sum = add_segments(0, mbuf, l4_offset, mbuf->pkt_len - l4_offset);
  if (request == RTE_MBUF_F_TX_TCP_CKSUM) frame.at<wire::Tcp>(l4_offset).checksum = checksum(sum);
  if (request == RTE_MBUF_F_TX_UDP_CKSUM) frame.at<wire::Udp>(l4_offset).checksum = udp_checksum(sum);
  mbuf->ol_flags &= ~RTE_MBUF_F_TX_L4_MASK;
}

}  // namespace

TxQueue::TxQueue(Port& port, std::uint16_t queue, Buffers& buffers, Counters& counters)
    : port_(port), buffers_(buffers), counters_(counters), caps_(port.caps()), prepare_(choose(caps_)), queue_(queue) {
  caps_.tso = caps_.tso && choose(caps_) == &TxQueue::as_it_is;
}

TxQueue::~TxQueue() { give_up(); }

TxQueue::Prepare TxQueue::choose(const PortCaps& caps) {
  const bool everything =
      caps.tx_ip4_checksum && caps.tx_l4_checksum && caps.multi_segment && caps.shared_buffers && caps.tso;
  return everything ? &TxQueue::as_it_is : &TxQueue::in_software;
}

void TxQueue::push(Packet frame, Nanos now) {
  if (frame.get()->ol_flags & RTE_MBUF_F_TX_TCP_SEG && !caps_.tso) {
    Cutter cutter{std::move(frame)};
    while (Packet piece = cutter.next(buffers_)) push(std::move(piece), now);
    if (cutter.left()) counters_.add(Counter::drop_no_buffer);
    return;
  }
  if (!(this->*prepare_)(frame)) return;
  if (count_ == tx_pending_max) transmit(now);
  if (count_ == tx_pending_max) return drop(std::move(frame), Counter::drop_tx_full, counters_);
  frames_[count_++] = frame.release();
  if (count_ % tx_burst == 0) transmit(now);
}

void TxQueue::flush(Nanos now) {
  if (count_ == 0) return;
  const std::uint32_t before = count_;
  transmit(now);
  stalled_ = count_ < before ? 0 : stalled_ + 1;
  if (stalled_ == tx_stall_flushes) give_up();
}

bool TxQueue::as_it_is(Packet&) { return true; }

bool TxQueue::in_software(Packet& frame) {
  rte_mbuf* mbuf = frame.get();
  const bool copy = (!caps_.multi_segment && mbuf->nb_segs > 1) || (!caps_.shared_buffers && !all_ours_alone(mbuf));
  if (copy && !linearise(frame)) return false;
  const std::uint64_t flags = frame.get()->ol_flags;
  if (flags & RTE_MBUF_F_TX_IP_CKSUM && !caps_.tx_ip4_checksum) fill_ip4_checksum(frame);
  if (flags & RTE_MBUF_F_TX_L4_MASK && !caps_.tx_l4_checksum) fill_l4_checksum(frame, flags & RTE_MBUF_F_TX_L4_MASK);
  return true;
}

bool TxQueue::linearise(Packet& frame) {
  rte_mbuf* from = frame.get();
  Packet fresh = frame.size() <= buffer_headroom + buffer_data_size ? buffers_.make() : Packet{};
  if (!fresh) {
    const bool oversize = frame.size() > buffer_headroom + buffer_data_size;
    drop(std::move(frame), oversize ? Counter::drop_tx_oversize : Counter::drop_no_buffer, counters_);
    return false;
  }
  rte_mbuf* to = fresh.get();
  const std::uint32_t size = from->pkt_len;
  const std::uint32_t headers = std::min<std::uint32_t>(from->l2_len + from->l3_len + from->l4_len, from->data_len);
  to->data_off = 0;
  to->data_len = static_cast<std::uint16_t>(size);
  to->pkt_len = size;
  to->ol_flags = from->ol_flags & RTE_MBUF_F_TX_OFFLOAD_MASK;
  to->tx_offload = from->tx_offload;
  fresh.meta() = frame.meta();
  std::memcpy(fresh.data(), frame.data(), headers);
  copy_payload(from, headers, fresh.bytes().subspan(headers), counters_);
  frame = std::move(fresh);
  return true;
}

void TxQueue::transmit(Nanos now) {
  std::uint32_t sent = 0;
  while (sent < count_) {
    const std::span<rte_mbuf*> burst{&frames_[sent], std::min(count_ - sent, tx_burst)};
    std::uint64_t bytes = 0;
    for (const rte_mbuf* frame : burst) bytes += frame->pkt_len;
    const std::uint16_t taken = port_.transmit(queue_, burst, now);
    for (const rte_mbuf* frame : burst.subspan(taken)) bytes -= frame->pkt_len;
    counters_.add(Counter::tx_packets, taken);
    counters_.add(Counter::tx_bytes, bytes);
    sent += taken;
    if (taken < burst.size()) break;
  }
  std::copy(frames_.begin() + sent, frames_.begin() + count_, frames_.begin());
  count_ -= sent;
}

void TxQueue::give_up() {
  for (rte_mbuf* frame : std::span{frames_}.first(count_)) drop(Packet{frame}, Counter::drop_tx_full, counters_);
  count_ = stalled_ = 0;
}

}  // namespace sluice
