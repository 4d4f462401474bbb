// cut.h - a TCP segment larger than the path takes, cut into frames for a port that does not do it (TSO in software):
// what it was spared on the way down to here, one look at connection, route and neighbour for all of them, is kept.
// Payload is linked or sliced, never copied; each frame has a header of its own. IPv4 and IPv6 without extension
// headers. One frame at a time; what is not asked for is given back.
#pragma once

#include "dataplane/packet/buffers.h"

namespace sluice {

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
  bool link(rte_mbuf* head, std::uint32_t size, Buffers& buffers);
  void address(Packet& frame, std::uint32_t size, bool first, bool last);

  Packet head_;     // the first frame's headers, until it is asked for
  rte_mbuf* rest_;  // payload that no frame has
  std::uint8_t header_[128];
  std::uint32_t left_, size_;  // size_: of a frame's payload
  std::uint32_t offset_ = 0;   // of the next frame's payload in the whole
  std::uint16_t header_size_, l2_, l3_;
  std::uint64_t lengths_, flags_;
  std::uint8_t tcp_flags_;
  bool v4_;
};

}  // namespace sluice
