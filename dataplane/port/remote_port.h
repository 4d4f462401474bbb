// remote_port.h - a port as seen by a worker that owns no queue of it: transmit() is a ring to the worker that does.
// It has the caps of the port behind it, so that the sender's TxQueue does all the work there is. Nothing is received
// from it (the owner hands packets over by core/handoff). One sender, one owner.
#pragma once

#include <array>

#include "dataplane/base/ring.h"
#include "dataplane/port/port.h"

namespace sluice {

class RemotePort final : public Port {
 public:
  RemotePort(const Port& behind, std::size_t ring_size);
  ~RemotePort() override;

  // Sender.
  std::uint16_t receive(std::uint16_t, std::span<rte_mbuf*>, Nanos) override { return 0; }
  std::uint16_t transmit(std::uint16_t queue, std::span<rte_mbuf*> frames, Nanos now) override;

  // Owner, once a turn: up to out.size() frames that are to go out, checksums and all, for its own TxQueue or port.
  std::size_t take(std::span<rte_mbuf*> out) { return ring_.pop(out); }

 private:
  SpscRing<rte_mbuf*> ring_;
};

}  // namespace sluice
