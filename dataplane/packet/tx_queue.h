// tx_queue.h - frames on their way to one queue of a port, and in software what the port cannot do.
// A frame carries its requests in ol_flags (IPv4 | IPV6, IP_CKSUM, TCP_CKSUM | UDP_CKSUM, TCP_SEG) with l2_len, l3_len,
// l4_len and tso_segsz, the pseudo-header sum standing in its checksum field (emit.h). What the port lacks is done
// here, by a function chosen once, at construction: checksums are filled in; a frame of several segments, or with a
// segment that somebody else refers to, is copied into one fresh buffer (its payload counted in payload_copied_bytes).
// Headers are never written into shared data: the segment that holds them must be ours alone.
//
// A worker that owns no queue of the port is given a Port whose transmit() is a ring to the worker that does, with the
// port's own caps: the sender does the work, and the owner's TxQueue finds nothing left to do.
//
// Limits: a frame to be cut (TCP_SEG) is cut here (cut.h) unless the port does that and takes frames as they are
// (caps() says so); any other frame beyond one buffer's data room dies as drop_tx_oversize where the port takes no
// several. What the port does not take at once is kept, at most tx_pending_max frames; when the port takes nothing for
// tx_stall_flushes flushes, or the room is used up, frames die as drop_tx_full. Owner: one worker.
#pragma once

#include <array>

#include "dataplane/packet/buffers.h"
#include "dataplane/port/port.h"

namespace sluice {

inline constexpr std::uint32_t tx_burst = 32;
inline constexpr std::uint32_t tx_pending_max = 512;
inline constexpr std::uint32_t tx_stall_flushes = 1024;

class TxQueue {
 public:
  TxQueue(Port& port, std::uint16_t queue, Buffers& buffers, Counters& counters);
  ~TxQueue();
  TxQueue(const TxQueue&) = delete;
  TxQueue& operator=(const TxQueue&) = delete;

  // A whole frame, starting at its Ethernet header.
  void push(Packet frame, Nanos now);
  // Gives the port what has gathered. Once a turn.
  void flush(Nanos now);

  // The port's caps, with tso only where frames go out as they are: elsewhere what asks for it is cut here.
  const PortCaps& caps() const { return caps_; }
  std::uint32_t pending() const { return count_; }

 private:
  using Prepare = bool (TxQueue::*)(Packet& frame);
  static Prepare choose(const PortCaps& caps);
  bool as_it_is(Packet& frame);
  bool in_software(Packet& frame);
  bool linearise(Packet& frame);
  void transmit(Nanos now);
  void give_up();

  Port& port_;
  Buffers& buffers_;
  Counters& counters_;
  PortCaps caps_;
  Prepare prepare_;
  std::uint16_t queue_;
  std::uint32_t stalled_ = 0;  // flushes in a row of which the port took nothing
  std::uint32_t count_ = 0;
  std::array<rte_mbuf*, tx_pending_max> frames_;
};

}  // namespace sluice
