#include "dataplane/port/remote_port.h"

namespace sluice {

RemotePort::RemotePort(const Port& behind, std::size_t ring_size) : ring_(ring_size) { caps_ = behind.caps(); }

RemotePort::~RemotePort() {
  for (rte_mbuf* frame; ring_.pop(frame);) free_buffers(frame);
}

std::uint16_t RemotePort::transmit(std::uint16_t, std::span<rte_mbuf*> frames, Nanos) {
  return static_cast<std::uint16_t>(ring_.push(frames));
}

}  // namespace sluice
