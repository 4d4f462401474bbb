#include "l4/listener.h"

namespace sluice {

std::expected<Listeners, RuleConflict> Listeners::compile(std::span<const ListenerRule> rules) {
  std::vector<PrefixPorts::Rule> plain;
  plain.reserve(rules.size());
  for (const ListenerRule& rule : rules)
    plain.push_back({rule.destination, rule.ports, Protocol::tcp, rule.ingress, rule.id});
  auto match = PrefixPorts::compile(plain);
  if (!match) return std::unexpected(match.error());
  Listeners listeners;
  listeners.match_ = std::move(*match);
  return listeners;
}

std::optional<ListenerMatch> Listeners::match(const IpAddress& destination, std::uint16_t port, PortId ingress) const {
  PrefixPorts::Match match;
  if (!match_.find(destination, port, Protocol::tcp, ingress, match)) return std::nullopt;
  return ListenerMatch{match.value, match.prefix_bits};
}

std::optional<ListenerId> Listeners::find(const IpAddress& destination, std::uint16_t port, PortId ingress) const {
  const auto found = match(destination, port, ingress);
  return found ? std::optional{found->id} : std::nullopt;
}

}  // namespace sluice
