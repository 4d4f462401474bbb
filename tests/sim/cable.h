// cable.h - the port end at the node's side, and the troubles that Impaired (dataplane/port/impair.h) does not have:
// outages, lost tails, a path whose MTU changes (a router tells the sender by ICMP, or it does not), segments that
// somebody forges (TCP and ICMP), windows that shrink, SACKs that claim too much, old frames that come again at the
// end, and management work that falls into the middle of a worker's turn.
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
  std::uint32_t ack_loss_ppm = 0;    // of segments that are nothing but an ACK, towards the node
  std::uint32_t tail_loss_ppm = 0;   // of segments that end a flight (PSH or FIN), either way
  Nanos well_from = Nanos::never();  // no more of these two: a peer asks three or four times before it gives up
  std::uint32_t shrink_ppm = 0;      // of segments towards the node: the window in them is a part of what it was
  Nanos shrink_until = Nanos::never();
  std::uint16_t mtu = 0;  // of IP packets, from mtu_from to mtu_until; 0: no bound
  bool mtu_told = false;  // by ICMP; else frames that are too long just vanish
  Nanos mtu_from = Nanos::never(), mtu_until = Nanos::never();
  std::uint32_t forge_ppm = 0;  // frames that are followed by a forged ACK of what was never sent, or a forged RST
  // TCP segments about which somebody sends an ICMP error, either way: who does not know their sequence numbers says
  // "host unreachable" of a SYN, and who does tells an MTU that no path has.
  std::uint32_t blind_ppm = 0, silly_ppm = 0;
  std::uint32_t renege_ppm = 0;  // of SACKs towards the node: the last block begins a segment earlier
};

class Cable final : public Port {
 public:
  Cable(std::unique_ptr<Port> inner, const CableSpec& spec, Buffers& buffers, std::uint64_t seed);
  ~Cable() override;

  std::uint16_t receive(std::uint16_t queue, std::span<rte_mbuf*> out, Nanos now) override;
  std::uint16_t transmit(std::uint16_t queue, std::span<rte_mbuf*> frames, Nanos now) override;

  // The first TCP segments that came to the node, once more.
  void repeat_past();

  std::function<void()> amid_turn;  // called now and then from within receive(), in the worker's turn
  std::uint64_t lost = 0, forged = 0, tails_lost = 0, shrunk = 0, too_big = 0, too_big_told = 0;
  std::uint64_t lies = 0, reneged = 0, repeated = 0;

 private:
  bool down(Nanos now) const { return now >= spec_.down_from && now < spec_.down_until; }
  // Whether a frame survives the troubles that both ways have.
  bool passes(const rte_mbuf* frame, Nanos now, bool to_node);
  // An ICMP error about a frame, back to its sender. Its quote's sequence number is `beside` the frame's.
  struct Error {
    std::uint8_t type4, code4, type6, code6;
    std::uint16_t mtu;
    std::uint32_t beside;
  };
  bool tell(const rte_mbuf* frame, bool to_node, const Error& error, Nanos now);
  void lie(const rte_mbuf* frame, bool to_node, Nanos now);
  void shrink_window(rte_mbuf* frame);
  void claim_more(rte_mbuf* frame);
  void remember(const rte_mbuf* frame);
  rte_mbuf* forge(const rte_mbuf* frame);

  std::unique_ptr<Port> inner_;
  const CableSpec spec_;
  Buffers& buffers_;
  Rng rng_;
  std::vector<rte_mbuf*> to_node_;  // what a router on the way sends to the node
  std::vector<std::vector<std::uint8_t>> past_;
};

}  // namespace sluice::sim
