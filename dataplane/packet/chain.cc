#include "dataplane/packet/chain.h"

#include <algorithm>

namespace sluice {

namespace {

MutableBytes tailroom(rte_mbuf* segment) {
  if (!sole_owner(segment) || !RTE_MBUF_DIRECT(segment)) return {};
  return {rte_pktmbuf_mtod(segment, std::uint8_t*) + segment->data_len, rte_pktmbuf_tailroom(segment)};
}

// A place in a chain of segments, from which bytes are copied out one stretch after the other.
class Cursor {
 public:
  Cursor(const rte_mbuf* first, std::uint32_t offset) : segment_(first), offset_(offset) { settle(); }
  void copy(MutableBytes out) {
    while (!out.empty()) {
      const std::size_t n = std::min<std::size_t>(out.size(), segment_->data_len - offset_);
      std::memcpy(out.data(), rte_pktmbuf_mtod_offset(segment_, const std::uint8_t*, offset_), n);
      out = out.subspan(n);
      offset_ += static_cast<std::uint32_t>(n);
      settle();
    }
  }

 private:
  void settle() {
    while (segment_ && offset_ >= segment_->data_len) {
      offset_ -= segment_->data_len;
      segment_ = segment_->next;
    }
  }
  const rte_mbuf* segment_;
  std::uint32_t offset_;
};

}  // namespace

void Chain::append(Packet packet) {
  rte_mbuf* segment = packet.release();
  while (segment) {
    rte_mbuf* next = std::exchange(segment->next, nullptr);
    segment->nb_segs = 1;
    segment->pkt_len = segment->data_len;
    if (segment->data_len == 0) {
      rte_pktmbuf_free_seg(segment);
    } else {
      (head_ ? tail_->next : head_) = segment;
      tail_ = segment;
      size_ += segment->data_len;
      ++segments_;
    }
    segment = next;
  }
}

void Chain::append(Chain other) {
  if (other.empty()) return;
  (head_ ? tail_->next : head_) = other.head_;
  tail_ = other.tail_;
  size_ += other.size_;
  segments_ += other.segments_;
  other.head_ = other.tail_ = nullptr;
  other.size_ = other.segments_ = 0;
}

void Chain::prepend(Packet packet) {
  Chain front{std::move(packet)};
  front.append(std::move(*this));
  steal(front);
}

bool Chain::append_bytes(ByteView in, Buffers& buffers) {
  const MutableBytes room = tail_ ? tailroom(tail_) : MutableBytes{};
  const std::size_t here = std::min(room.size(), in.size());
  Chain fresh;
  for (ByteView rest = in.subspan(here); !rest.empty();) {
    Packet packet = buffers.make();
    if (!packet) return false;
    const std::size_t n = std::min<std::size_t>(rest.size(), buffer_data_size);
    std::memcpy(packet.data(), rest.data(), n);
    packet.get()->data_len = static_cast<std::uint16_t>(n);
    packet.get()->pkt_len = static_cast<std::uint32_t>(n);
    fresh.append(std::move(packet));
    rest = rest.subspan(n);
  }
  if (here) {
    std::memcpy(room.data(), in.data(), here);
    tail_->data_len += static_cast<std::uint16_t>(here);
    tail_->pkt_len = tail_->data_len;
    size_ += static_cast<std::uint32_t>(here);
  }
  append(std::move(fresh));
  return true;
}

void Chain::trim_front(std::uint32_t n) {
  CHECK(n <= size_);
  size_ -= n;
  while (n > 0 && n >= head_->data_len) {
    rte_mbuf* next = std::exchange(head_->next, nullptr);
    n -= head_->data_len;
    rte_pktmbuf_free_seg(head_);
    head_ = next;
    --segments_;
  }
  if (!head_) tail_ = nullptr;
  if (n > 0) {
    head_->data_off += static_cast<std::uint16_t>(n);
    head_->data_len -= static_cast<std::uint16_t>(n);
    head_->pkt_len = head_->data_len;
  }
}

void Chain::trim_back(std::uint32_t n) {
  CHECK(n <= size_);
  if (n == 0) return;
  std::uint32_t keep = size_ - n;
  if (keep == 0) return clear();
  size_ = keep;
  rte_mbuf* segment = head_;
  std::uint32_t kept = 1;
  while (keep > segment->data_len) {
    keep -= segment->data_len;
    segment = segment->next;
    ++kept;
  }
  segment->data_len = static_cast<std::uint16_t>(keep);
  segment->pkt_len = keep;
  for (rte_mbuf* rest = std::exchange(segment->next, nullptr); rest;) {
    rte_mbuf* next = std::exchange(rest->next, nullptr);
    rte_pktmbuf_free_seg(rest);
    rest = next;
  }
  tail_ = segment;
  segments_ = kept;
}

bool Chain::move_front(std::uint32_t n, Chain& out, Buffers& buffers) {
  CHECK(n <= size_);
  // Find the cut first, so that failing leaves everything as it was.
  std::uint32_t left = n, whole = 0;
  rte_mbuf* last_whole = nullptr;
  rte_mbuf* segment = head_;
  while (segment && left >= segment->data_len) {
    left -= segment->data_len;
    last_whole = segment;
    segment = segment->next;
    ++whole;
  }
  Packet cut;
  if (left > 0) {
    cut = buffers.slice(segment, 0, left);
    if (!cut) return false;
  }
  if (last_whole) {
    Chain moved;
    moved.head_ = head_;
    moved.tail_ = last_whole;
    moved.size_ = n - left;
    moved.segments_ = whole;
    last_whole->next = nullptr;
    head_ = segment;
    if (!head_) tail_ = nullptr;
    size_ -= n - left;
    segments_ -= whole;
    out.append(std::move(moved));
  }
  if (cut) {
    out.append(std::move(cut));
    trim_front(left);
  }
  return true;
}

bool Chain::share(std::uint32_t offset, std::uint32_t n, Chain& out, Buffers& buffers) const {
  CHECK(offset <= size_ && n <= size_ - offset);
  Chain shared;
  rte_mbuf* segment = head_;
  while (segment && offset >= segment->data_len) {
    offset -= segment->data_len;
    segment = segment->next;
  }
  while (n > 0) {
    const std::uint32_t take = std::min<std::uint32_t>(n, segment->data_len - offset);
    Packet slice = buffers.slice(segment, offset, take);
    if (!slice) return false;
    shared.append(std::move(slice));
    n -= take;
    offset = 0;
    segment = segment->next;
  }
  out.append(std::move(shared));
  return true;
}

void Chain::peek(std::uint32_t offset, MutableBytes out) const {
  CHECK(offset <= size_ && out.size() <= size_ - offset);
  Cursor{head_, offset}.copy(out);
}

Packet Chain::pop() {
  if (!head_) return {};
  rte_mbuf* segment = head_;
  head_ = std::exchange(segment->next, nullptr);
  if (!head_) tail_ = nullptr;
  size_ -= segment->data_len;
  --segments_;
  return Packet{segment};
}

void Chain::free_all() {
  while (head_) {
    rte_mbuf* next = std::exchange(head_->next, nullptr);
    rte_pktmbuf_free_seg(head_);
    head_ = next;
  }
  tail_ = nullptr;
  size_ = segments_ = 0;
}

rte_mbuf* Chain::release() {
  tail_ = nullptr;
  size_ = segments_ = 0;
  return std::exchange(head_, nullptr);
}

void copy_payload(const rte_mbuf* first, std::uint32_t offset, MutableBytes to, Counters& counters) {
  Cursor{first, offset}.copy(to);
  counters.add(Counter::payload_copied_bytes, to.size());
}

bool copy_payload(const Chain& from, std::uint32_t offset, std::uint32_t n, Chain& to, Buffers& buffers,
                  Counters& counters) {
  CHECK(offset <= from.size() && n <= from.size() - offset);
  // All the room first, so that failing leaves everything as it was.
  Chain fresh;
  for (std::uint32_t left = n; left > 0;) {
    Packet packet = buffers.make();
    if (!packet) return false;
    const std::uint32_t size = std::min<std::uint32_t>(left, buffer_data_size);
    packet.get()->data_len = static_cast<std::uint16_t>(size);
    packet.get()->pkt_len = size;
    fresh.append(std::move(packet));
    left -= size;
  }
  for (rte_mbuf* segment = fresh.first(); segment; segment = segment->next) {
    copy_payload(from.first(), offset, {rte_pktmbuf_mtod(segment, std::uint8_t*), segment->data_len}, counters);
    offset += segment->data_len;
  }
  to.append(std::move(fresh));
  return true;
}

}  // namespace sluice
