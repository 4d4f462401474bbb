// chain.h - a stream of payload bytes held in packet buffers: the one form in which bytes travel between TCP, TLS and
// HTTP. FIFO, move-only, owns its buffers, never copies a byte itself: cutting makes a slice that shares the data.
// Segments are single-segment mbufs linked by `next`; none is empty. Splicing a body from one leg to the other is
// moving a Chain. Shared data is read-only (sole_owner()).
#pragma once

#include "dataplane/packet/buffers.h"

namespace sluice {

class Chain {
 public:
  Chain() = default;
  explicit Chain(Packet packet) { append(std::move(packet)); }
  Chain(Chain&& other) noexcept { steal(other); }
  Chain& operator=(Chain&& other) noexcept {
    if (this != &other) {
      clear();
      steal(other);
    }
    return *this;
  }
  ~Chain() { clear(); }

  std::uint32_t size() const { return size_; }
  std::uint32_t segments() const { return segments_; }
  bool empty() const { return size_ == 0; }
  rte_mbuf* first() const { return head_; }  // walk by ->next
  rte_mbuf* last() const { return tail_; }

  // The bytes of the first segment.
  ByteView front() const {
    return head_ ? ByteView{rte_pktmbuf_mtod(head_, const std::uint8_t*), head_->data_len} : ByteView{};
  }

  // Appends a packet's data (all its segments). Empty segments are given back.
  void append(Packet packet);
  void append(Chain other);
  void prepend(Packet packet);
  // Appends bytes: into the tail's tailroom where we are its sole owner, else into fresh buffers. False, and nothing
  // appended, when no buffer was free. These bytes are ours (headers, framing); payload is copied by copy_payload().
  bool append_bytes(ByteView in, Buffers& buffers);

  // Removes the first n bytes (n <= size()).
  void trim_front(std::uint32_t n);
  // Removes the last n bytes (n <= size()).
  void trim_back(std::uint32_t n);
  // Moves the first n bytes (n <= size()) into `out`'s end. At most one segment is cut, by a slice; false, and nothing
  // moved, when no descriptor was free.
  bool move_front(std::uint32_t n, Chain& out, Buffers& buffers);
  // A second chain over bytes [offset, offset + n), sharing the data. False, and `out` untouched, when descriptors ran
  // out.
  bool share(std::uint32_t offset, std::uint32_t n, Chain& out, Buffers& buffers) const;
  // Copies bytes [offset, offset + out.size()) out. The caller made sure that they are there.
  void peek(std::uint32_t offset, MutableBytes out) const;
  // The first segment alone (a Packet of one segment), or nothing.
  Packet pop();
  void clear() {
    if (head_) free_all();
  }
  // Gives up ownership of the linked segments (nb_segs and pkt_len are not set on the head).
  rte_mbuf* release();

 private:
  void steal(Chain& other) {
    head_ = std::exchange(other.head_, nullptr);
    tail_ = std::exchange(other.tail_, nullptr);
    size_ = std::exchange(other.size_, 0);
    segments_ = std::exchange(other.segments_, 0);
  }
  void free_all();

  rte_mbuf* head_ = nullptr;
  rte_mbuf* tail_ = nullptr;
  std::uint32_t size_ = 0;
  std::uint32_t segments_ = 0;
};

// The one function that copies payload, and counts what it copies (payload_copied_bytes): bytes [offset, offset +
// to.size()) of the segments from `first` on, which must be there.
void copy_payload(const rte_mbuf* first, std::uint32_t offset, MutableBytes to, Counters& counters);
// The same into fresh buffers at the end of a chain. False when buffers ran out; then `to` is unchanged and nothing is
// counted.
bool copy_payload(const Chain& from, std::uint32_t offset, std::uint32_t n, Chain& to, Buffers& buffers,
                  Counters& counters);

}  // namespace sluice
