// handoff.h - packets that arrived on one worker and belong to another: an SPSC ring for each ordered pair of workers.
// Meta travels with the packet. A full ring is a counted drop (drop_handoff_full): the owner is overloaded, and waiting
// for it would stop this worker as well. Rings are made once, at start.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "dataplane/base/counters.h"
#include "dataplane/base/ring.h"
#include "dataplane/packet/packet.h"

namespace sluice {

class Handoff {
 public:
  Handoff(unsigned workers, std::size_t ring_size);

  // Worker `from`: hands over all of `packets`, which are empty afterwards. Marks them as handed off.
  void send(unsigned from, unsigned to, std::span<Packet> packets, Counters& counters);
  // Worker `to`: up to out.size() packets from all the others, beginning with a different one at each call.
  std::size_t receive(unsigned to, std::span<Packet> out);
  // Anyone: packets that wait for this worker, at the moment.
  std::size_t waiting(unsigned to) const;
  unsigned workers() const { return workers_; }

 private:
  using Ring = SpscRing<Packet>;
  Ring& ring(unsigned from, unsigned to) const { return *rings_[from * workers_ + to]; }

  unsigned workers_;
  std::vector<std::unique_ptr<Ring>> rings_;  // [from][to]; none from a worker to itself
  struct alignas(64) Turn {
    unsigned first = 0;
  };
  std::vector<Turn> turns_;
};

}  // namespace sluice
