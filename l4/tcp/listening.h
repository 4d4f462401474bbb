// listening.h - how the stack asks whether somebody listens: a view of any immutable table that has
//   std::optional<ListenerId> find(const IpAddress& destination, std::uint16_t port, PortId ingress) const
// such as l4/listener.h. Nothing says that the destination must be an address of ours.
#pragma once

#include <optional>

#include "dataplane/base/address.h"
#include "dataplane/packet/packet.h"

namespace sluice::tcp {

using ListenerId = std::uint32_t;  // stable id from mgmt's registry

class ListenerView {
 public:
  ListenerView() = default;  // nobody listens
  template <typename Table>
  explicit ListenerView(const Table* table)
      : table_(table), find_([](const void* t, const IpAddress& destination, std::uint16_t port, PortId ingress) {
          return static_cast<std::optional<ListenerId>>(static_cast<const Table*>(t)->find(destination, port, ingress));
        }) {}

  std::optional<ListenerId> find(const IpAddress& destination, std::uint16_t port, PortId ingress) const {
    return find_ ? find_(table_, destination, port, ingress) : std::nullopt;
  }

 private:
  const void* table_ = nullptr;
  std::optional<ListenerId> (*find_)(const void*, const IpAddress&, std::uint16_t, PortId) = nullptr;
};

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/input_slow_test.cc.
