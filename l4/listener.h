// listener.h - which listener takes a TCP connection: by destination prefix, port range and ingress port. Compiled from
// policy, immutable, read by every worker.
// Nothing here asks whether the destination is an address of ours: 0.0.0.0/0 with port 80 takes any destination
// (transparent interception). The longest prefix wins, then the narrower port range, then one ingress port over any.
#pragma once

#include <optional>

#include "l4/prefix_ports.h"

namespace sluice {

// Stable id of a listener, from mgmt's registry.
using ListenerId = std::uint32_t;
inline constexpr ListenerId no_listener = ~ListenerId{0};

struct ListenerRule {
  ListenerId id = no_listener;
  Prefix destination{};
  PortRange ports{};
  PortId ingress = no_port;  // no_port: any
};

struct ListenerMatch {
  ListenerId id;
  std::uint8_t prefix_bits;  // how specific the match was, in the 16-byte form
};

class Listeners {
 public:
  Listeners() = default;
  // A listener may have several rules. RuleConflict names the two rules that ask for the same packets.
  static std::expected<Listeners, RuleConflict> compile(std::span<const ListenerRule> rules);

  std::optional<ListenerMatch> match(const IpAddress& destination, std::uint16_t port, PortId ingress) const;
  std::optional<ListenerId> find(const IpAddress& destination, std::uint16_t port, PortId ingress) const;

 private:
  PrefixPorts match_;
};

}  // namespace sluice
