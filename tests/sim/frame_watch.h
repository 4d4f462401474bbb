// frame_watch.h - the wire's end at the node: every frame that comes out is whole, its lengths agree and its sums are
// right. One that is not dies at its receiver, and what it carried comes again in another: nobody else would notice.
#pragma once

#include <string>

#include "dataplane/port/port.h"

namespace sluice::sim {

class FrameWatch final : public Port {
 public:
  // `inner` outlives it.
  explicit FrameWatch(Port& inner) : inner_(inner) { caps_ = inner.caps(); }

  std::uint16_t receive(std::uint16_t queue, std::span<rte_mbuf*> out, Nanos now) override;
  std::uint16_t transmit(std::uint16_t queue, std::span<rte_mbuf*> frames, Nanos now) override;

  const std::string& failure() const { return failure_; }

 private:
  Port& inner_;
  std::string failure_;
};

}  // namespace sluice::sim
