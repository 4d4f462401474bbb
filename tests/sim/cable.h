// cable.h - the port end at the node's side, and the troubles that Impaired (dataplane/port/impair.h) does not have:
// outages, lost tails, a path whose MTU changes (a router tells the sender by ICMP, or it does not), segments that
// somebody forges, windows that shrink, and management work that falls into the middle of a worker's turn.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "dataplane/base/rng.h"
#include "dataplane/packet/buffers.h"
#include "dataplane/port/port.h"

namespace sluice::sim {

struct CableSpec {
  Nanos down_from = Nanos::never(), down_until = Nanos::never();  // nothing passes, either way
  std::uint32_t ack_loss_ppm = 0;   // of segments that are nothing but an ACK, towards the node
  std::uint32_t tail_loss_ppm = 0;  // of segments that end a flight (PSH or FIN), either way
  std::uint32_t shrink_ppm = 0;     // of segments towards the node: the window in them is a part of what it was
  Nanos shrink_until = Nanos::never();
  std::uint16_t mtu = 0;  // of IP packets, from mtu_from to mtu_until; 0: no bound
  bool mtu_told = false;  // by ICMP; else frames that are too long just vanish
  Nanos mtu_from = Nanos::never(), mtu_until = Nanos::never();
  std::uint32_t forge_ppm = 0;  // frames that are followed by a forged ACK of data that was never sent
};

class Cable final : public Port {
 public:
  Cable(std::unique_ptr<Port> inner, const CableSpec& spec, Buffers& buffers, std::uint64_t seed);
  ~Cable() override;

  std::uint16_t receive(std::uint16_t queue, std::span<rte_mbuf*> out, Nanos now) override;
  std::uint16_t transmit(std::uint16_t queue, std::span<rte_mbuf*> frames, Nanos now) override;

  std::function<void()> amid_turn;  // called now and then from within receive(), in the worker's turn
  std::uint64_t lost = 0, forged = 0, tails_lost = 0, shrunk = 0, too_big = 0, too_big_told = 0;

 private:
  bool down(Nanos now) const { return now >= spec_.down_from && now < spec_.down_until; }
  // Whether a frame survives the troubles that both ways have.
  bool passes(const rte_mbuf* frame, Nanos now, bool to_node);
  void tell_too_big(const rte_mbuf* frame, bool to_node, Nanos now);
  void shrink_window(rte_mbuf* frame);
  rte_mbuf* forge(const rte_mbuf* frame);

  std::unique_ptr<Port> inner_;
  const CableSpec spec_;
  Buffers& buffers_;
  Rng rng_;
  std::vector<rte_mbuf*> to_node_;  // what a router on the way sends to the node
};

}  // namespace sluice::sim
