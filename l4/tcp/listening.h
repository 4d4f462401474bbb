// listening.h - how the stack asks whether somebody listens: a view of any immutable table that has
//   std::optional<ListenerId> find(const IpAddress& destination, std::uint16_t port, PortId ingress) const
// such as l4/listener.h. It may also have `SettingsId settings(ListenerId) const`, for the connections that it opens,
// and `bool full(ListenerId) const`, while which nothing opens and no handshake completes. Nothing says that the
// destination must be an address of ours.
#pragma once

#include <optional>

#include "dataplane/base/address.h"
#include "dataplane/packet/packet.h"
#include "l4/tcp/config.h"

namespace sluice::tcp {

using ListenerId = std::uint32_t;  // stable id from mgmt's registry

class ListenerView {
 public:
  ListenerView() = default;  // nobody listens
  template <typename Table>
  explicit ListenerView(const Table* table)
      : table_(table), find_([](const void* t, const IpAddress& destination, std::uint16_t port, PortId ingress) {
          return static_cast<std::optional<ListenerId>>(static_cast<const Table*>(t)->find(destination, port, ingress));
        }) {
    if constexpr (requires { table->settings(ListenerId{}); })
      settings_ = [](const void* t, ListenerId id) { return static_cast<const Table*>(t)->settings(id); };
    if constexpr (requires { table->full(ListenerId{}); })
      full_ = [](const void* t, ListenerId id) { return static_cast<const Table*>(t)->full(id); };
  }

  std::optional<ListenerId> find(const IpAddress& destination, std::uint16_t port, PortId ingress) const {
    return find_ ? find_(table_, destination, port, ingress) : std::nullopt;
  }
  SettingsId settings(ListenerId id) const { return settings_ ? settings_(table_, id) : SettingsId{0}; }
  bool full(ListenerId id) const { return full_ && full_(table_, id); }

 private:
  const void* table_ = nullptr;
  std::optional<ListenerId> (*find_)(const void*, const IpAddress&, std::uint16_t, PortId) = nullptr;
  SettingsId (*settings_)(const void*, ListenerId) = nullptr;
  bool (*full_)(const void*, ListenerId) = nullptr;
};

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/input_slow_test.cc.
