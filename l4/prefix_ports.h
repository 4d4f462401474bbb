// prefix_ports.h - finds the rule for a destination: the longest prefix wins, then the narrower port range, then a rule
// for one ingress port over a rule for any. The matcher behind Listeners and Services.
// Compiled once from rules, immutable, read by any thread. A look-up costs a probe per distinct prefix length in use
// (two where both single ports and ranges occur at that length), whatever the number of rules.
#pragma once

#include <expected>
#include <span>
#include <vector>

#include "l4/flow_key.h"

namespace sluice {

// Ports first to last, both included. {0, 65535} is any port.
struct PortRange {
  std::uint16_t first = 0, last = 65535;
  constexpr bool operator==(const PortRange&) const = default;
  constexpr bool contains(std::uint16_t port) const { return port >= first && port <= last; }
  constexpr std::uint32_t width() const { return std::uint32_t{last} - first + 1; }
  constexpr bool is_any() const { return first == 0 && last == 65535; }
};

// Two rules (by their place in the input) that could not be told apart, or one that says nothing (first == second).
struct RuleConflict {
  std::size_t first, second;
};

class PrefixPorts {
 public:
  struct Rule {
    Prefix destination;  // bits behind the prefix are ignored
    PortRange ports;
    Protocol protocol = Protocol::tcp;
    PortId ingress = no_port;  // no_port: any
    std::uint32_t value = 0;
  };
  struct Match {
    std::uint32_t value;
    std::uint8_t prefix_bits;  // in the 16-byte form: an IPv4 prefix has 96 more
  };

  PrefixPorts() = default;
  static std::expected<PrefixPorts, RuleConflict> compile(std::span<const Rule> rules);

  // Writes the best match; false when there is none.
  bool find(const IpAddress& destination, std::uint16_t port, Protocol protocol, PortId ingress, Match& out) const;
  bool empty() const { return entries_.empty(); }

 private:
  struct Level {  // one distinct (prefix length, single port or range), from the most to the least specific
    std::uint64_t mask[2];
    std::uint8_t bits;
    bool v4, single_port;
  };
  struct Slot {
    std::uint64_t address[2];
    std::uint32_t port_and_level;  // port << 16 | protocol << 8 | level
    std::uint32_t first;           // into entries_
    std::uint32_t count = 0;       // 0: the slot is empty
    std::uint32_t reserved = 0;
  };
  struct Entry {
    PortRange ports;
    PortId ingress;
    std::uint32_t value;
  };
  struct Probe {
    std::uint64_t address[2];
    std::uint32_t port_and_level;
  };
  static Probe probe_of(const Level& level, std::size_t index, const IpAddress& address, std::uint16_t port,
                        Protocol protocol);
  static std::uint64_t hash(const Probe& probe);
  const Slot* slot_of(const Probe& probe) const;

  std::vector<Level> levels_;
  std::vector<Slot> slots_;  // open addressing, a power of two, at most half full
  std::vector<Entry> entries_;
};

}  // namespace sluice
