// cable.h - the port end at the node's side, and the troubles that Impaired (dataplane/port/impair.h) does not have:
// outages, segments that somebody forges, and management work that falls into the middle of a worker's turn.
#pragma once

#include <functional>
#include <memory>

#include "dataplane/base/rng.h"
#include "dataplane/packet/buffers.h"
#include "dataplane/port/port.h"

namespace sluice::sim {

struct CableSpec {
  Nanos down_from = Nanos::never(), down_until = Nanos::never();  // nothing passes, either way
  std::uint32_t ack_loss_ppm = 0;  // of segments that are nothing but an ACK, towards the node
  std::uint32_t forge_ppm = 0;     // frames that are followed by a forged ACK of data that was never sent
};

class Cable final : public Port {
 public:
  Cable(std::unique_ptr<Port> inner, const CableSpec& spec, Buffers& buffers, std::uint64_t seed);

  std::uint16_t receive(std::uint16_t queue, std::span<rte_mbuf*> out, Nanos now) override;
  std::uint16_t transmit(std::uint16_t queue, std::span<rte_mbuf*> frames, Nanos now) override;

  std::function<void()> amid_turn;  // called now and then from within receive(), in the worker's turn
  std::uint64_t lost = 0, forged = 0;

 private:
  bool down(Nanos now) const { return now >= spec_.down_from && now < spec_.down_until; }
  rte_mbuf* forge(const rte_mbuf* frame);

  std::unique_ptr<Port> inner_;
  const CableSpec spec_;
  Buffers& buffers_;
  Rng rng_;
};

}  // namespace sluice::sim
