// local_addresses.h - which addresses are ours, which of their ports we speak from (SNAT, upstream connections), and
// which worker owns each such port. The low bits of a local port name its worker, so a reply steers home by a pure
// function of its destination. An address may serve both uses with disjoint port ranges. Workers need not be a power of
// two: bit patterns above them stay unused. Immutable after compile(), read by every worker.
#pragma once

#include <optional>

#include "l4/prefix_ports.h"

namespace sluice {

// How many low bits of a local port name its worker.
constexpr unsigned worker_bits(unsigned workers) {
  unsigned bits = 0;
  while (1u << bits < workers) ++bits;
  return bits;
}
// May be a number that no worker has, for a port that we never speak from.
constexpr std::uint16_t owner_of_port(std::uint16_t port, unsigned workers) {
  return static_cast<std::uint16_t>(port & ((1u << worker_bits(workers)) - 1));
}

// The ports of a range that one worker owns, in rising order.
class WorkerPorts {
 public:
  constexpr WorkerPorts() = default;
  constexpr WorkerPorts(PortRange range, unsigned worker, unsigned workers) {
    step_ = 1u << worker_bits(workers);
    first_ = (range.first + step_ - 1 - worker) / step_ * step_ + worker;
    count_ = first_ > range.last ? 0 : (range.last - first_) / step_ + 1;
  }
  constexpr std::uint32_t size() const { return count_; }
  constexpr std::uint16_t operator[](std::uint32_t index) const {
    return static_cast<std::uint16_t>(first_ + index * step_);
  }

 private:
  std::uint32_t first_ = 0, step_ = 1, count_ = 0;
};

enum class LocalUse : std::uint8_t { host, snat, upstream };

// Ports of an address of ours that we speak from.
struct LocalRange {
  IpAddress address;
  PortRange ports{32768, 65535};
  LocalUse use = LocalUse::snat;  // snat or upstream
};

class LocalAddresses {
 public:
  LocalAddresses() = default;
  // `addresses`: the interfaces' own. Those of `ranges` are ours as well. Ranges of one address must be disjoint:
  // RuleConflict names two (places in `ranges`) that are not.
  static std::expected<LocalAddresses, RuleConflict> compile(std::span<const IpAddress> addresses,
                                                             std::span<const LocalRange> ranges);

  // What an address and port of ours are used for (host: none of our own flows), or nothing when the address is not
  // ours.
  std::optional<LocalUse> find(const IpAddress& address, std::uint16_t port) const {
    PrefixPorts::Match match;
    if (!match_.find(address, port, Protocol::none, no_port, match)) return std::nullopt;
    return static_cast<LocalUse>(match.value);
  }
  std::span<const LocalRange> ranges() const { return ranges_; }

 private:
  PrefixPorts match_;
  std::vector<LocalRange> ranges_;
};

}  // namespace sluice
