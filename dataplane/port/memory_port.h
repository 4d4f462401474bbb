// memory_port.h - a port made of memory: traffic is injected and collected by a test, or two of them are joined by a
// wire. What is transmitted arrives as a copy in fresh buffers (of the receiving end's pool), never as the sender's
// buffer. Transmit offloads are not carried out: ol_flags and the l2/l3/l4 lengths go along with the copy, so that a
// test can see what was asked for; an end whose caps say rx_checksum reports checksums as good. No delay or loss: see
// impair.h. Queue q belongs to one thread at a time at each end; the two ends may be different threads. Injecting and
// collecting need no thread of their own.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "dataplane/base/ring.h"
#include "dataplane/packet/buffers.h"
#include "dataplane/port/port.h"

namespace sluice {

class MemoryPort final : public Port {
 public:
  // caps.queues queue pairs, each direction `ring_size` frames deep. `buffers` supplies what this end receives.
  MemoryPort(const PortCaps& caps, Buffers& buffers, std::size_t ring_size = 1024);
  ~MemoryPort() override;

  // Joins two ends: what one transmits on queue q arrives at the other on queue q modulo the other's queues. Before
  // use.
  static void connect(MemoryPort& a, MemoryPort& b);

  std::uint16_t receive(std::uint16_t queue, std::span<rte_mbuf*> out, Nanos now) override;
  std::uint16_t transmit(std::uint16_t queue, std::span<rte_mbuf*> frames, Nanos now) override;

  // A frame arrives. False when the ring or the pool is full.
  bool inject(ByteView frame, std::uint16_t queue = 0);
  // The next frame that was transmitted on this (unconnected) end, as it was handed over; none when there is none.
  Packet collect(std::uint16_t queue = 0);
  // The same as bytes, all segments joined.
  std::optional<std::vector<std::uint8_t>> collect_bytes(std::uint16_t queue = 0);

  // Frames that arrived when the ring or pool was full.
  std::uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }

 private:
  using Ring = SpscRing<rte_mbuf*>;
  static bool push_copy(Ring& ring, const rte_mbuf* frame, Buffers& buffers, bool checksums_good);

  Buffers& buffers_;
  std::vector<std::unique_ptr<Ring>> in_, out_;  // in_: a ring for each queue of the sender
  MemoryPort* peer_ = nullptr;
  std::atomic<std::uint64_t> lost_{0};
};

// A copy of a whole frame in fresh buffers, chained where one is too small, with its offload requests; or nothing.
Packet copy_frame(const rte_mbuf* frame, Buffers& buffers);

}  // namespace sluice
