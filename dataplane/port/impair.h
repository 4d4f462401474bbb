// impair.h - a port around a port that does what bad networks do: loses (one by one, or in bursts by the model of
// Gilbert and Elliott), duplicates, reorders, delays, corrupts and throttles frames, each direction by its own
// parameters and its own seeded generator (so one seed replays a run, and one queue's traffic does not depend on the
// other direction's). For tests and trials (the node file may ask for it).
// A frame waits for the line in a bounded queue (the last one to come is lost when it is full, or marked when it is
// long and the frame's transport can be told: RFC 3168), then it is on its way for the delay. Frames are held in a
// fixed store per queue and direction; what does not fit is lost, counted. Transmit always takes everything: what is
// held goes out at later calls of transmit or receive, so a queue must be polled. One thread a queue.
#pragma once

#include <memory>
#include <vector>

#include "dataplane/base/rng.h"
#include "dataplane/port/port.h"

namespace sluice {

// One direction. Chances in parts per million.
struct Impairment {
  std::uint32_t loss_ppm = 0;
  std::uint32_t burst_ppm = 0;            // a burst of losses begins with this frame
  std::uint32_t burst_end_ppm = 250'000;  // and ends with this one; while it lasts every frame is lost
  std::uint32_t duplicate_ppm = 0;
  std::uint32_t corrupt_ppm = 0;  // one bit of the frame behind the Ethernet header is flipped
  std::uint32_t reorder_ppm = 0;  // the frame is held back for reorder_delay, so that later ones overtake it
  Nanos reorder_delay{1'000'000};
  Nanos delay{};                      // of every frame
  Nanos jitter{};                     // added to it, uniform in [0, jitter]
  std::uint64_t rate_bps = 0;         // bits a second of frames; 0: no limit
  std::uint32_t queue_frames = 1000;  // how many may wait for the line; without a rate, how many may be under way
  std::uint32_t mark_frames = 0;      // so many before it, and an ECN-capable frame is marked; 0: none is

  bool any() const {
    return loss_ppm || burst_ppm || duplicate_ppm || corrupt_ppm || reorder_ppm || delay.ns || jitter.ns || rate_bps;
  }
};

struct ImpairSpec {
  Impairment receive, transmit;
  std::uint64_t seed = 1;
};

struct ImpairStats {
  std::uint64_t passed = 0, lost = 0, duplicated = 0, corrupted = 0, reordered = 0, overflowed = 0;
  std::uint64_t burst_lost = 0;  // of `lost`
  std::uint64_t marked = 0;
};

class Impaired final : public Port {
 public:
  Impaired(std::unique_ptr<Port> inner, const ImpairSpec& spec);
  ~Impaired() override;

  std::uint16_t receive(std::uint16_t queue, std::span<rte_mbuf*> out, Nanos now) override;
  std::uint16_t transmit(std::uint16_t queue, std::span<rte_mbuf*> frames, Nanos now) override;

  Port& inner() const { return *inner_; }
  // Over all queues; a moment's view from other threads is good enough for tests, so read them when the queues rest.
  ImpairStats received() const;
  ImpairStats transmitted() const;

 private:
  class Direction;
  void flush(std::uint16_t queue, Nanos now);

  std::unique_ptr<Port> inner_;
  std::vector<std::unique_ptr<Direction>> receive_, transmit_;  // by queue
};

}  // namespace sluice
