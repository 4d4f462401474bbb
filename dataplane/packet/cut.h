// cut.h - a TCP segment larger than the path takes, cut into frames for a port that does not do it (TSO in software):
// what it was spared on the way down to here, one look at connection, route and neighbour for all of them, is kept.
// Payload is linked or sliced, never copied. A frame's headers stand in a buffer of their own; where its payload is one
// slice whose buffer only its sender has besides (leading_slice), they stand right in front of it there, and the slice
// is the whole frame. IPv4 and IPv6 without extension headers. One frame at a time; what is not asked for is given
// back.
#pragma once

#include "dataplane/packet/buffers.h"

namespace sluice {

// Said of a slice by who makes it: what stands in front of its first byte in that buffer is nobody's any more. (A flag
// of reception, without meaning on the way out.)
inline constexpr std::uint64_t leading_slice = RTE_MBUF_F_RX_LRO;

class Cutter {
 public:
  // A whole frame with RTE_MBUF_F_TX_TCP_SEG, as emit.h makes it: its first buffer, ours alone, has the headers.
  explicit Cutter(Packet frame);
  ~Cutter();
  Cutter(const Cutter&) = delete;
  Cutter& operator=(const Cutter&) = delete;

  // The next frame, which asks for checksums as any other; nothing when that was all, or no buffer was free (left() >
  // 0).
  Packet next(Buffers& buffers);
  std::uint32_t left() const { return left_; }  // bytes of payload

 private:
  Packet in_front_of_payload(std::uint32_t size);
  Packet behind_headers(std::uint32_t size, Buffers& buffers);
  bool link(rte_mbuf* head, std::uint32_t size, Buffers& buffers);
  void address(Packet& frame, std::uint32_t size);

  static constexpr std::uint16_t room = 128;  // copied whole: less work than the size that it is
  static_assert(room <= buffer_headroom);

  Packet head_;                 // the first frame's headers, until it is asked for
  rte_mbuf* rest_;              // payload that no frame has
  std::uint8_t headers_[room];  // at its end
  std::uint32_t left_, size_;   // size_: of a frame's payload
  std::uint32_t offset_ = 0;    // of the next frame's payload in the whole
  std::uint16_t header_size_, l2_, l3_;
  std::uint64_t lengths_, flags_;
  std::uint8_t tcp_flags_;
  bool v4_;
};

}  // namespace sluice
