#include "l4/local_addresses.h"

#include <algorithm>

namespace sluice {

std::expected<LocalAddresses, RuleConflict> LocalAddresses::compile(std::span<const IpAddress> addresses,
                                                                    std::span<const LocalRange> ranges) {
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    if (ranges[i].ports.first > ranges[i].ports.last) return std::unexpected(RuleConflict{i, i});
    for (std::size_t j = 0; j < i; ++j) {
      const PortRange &a = ranges[i].ports, &b = ranges[j].ports;
      if (ranges[i].address == ranges[j].address && a.first <= b.last && b.first <= a.last)
        return std::unexpected(RuleConflict{j, i});
    }
  }
  const auto whole = [](const IpAddress& address) {
    return Prefix{address, static_cast<std::uint8_t>(address.is_v4() ? 32 : 128)};
  };
  std::vector<PrefixPorts::Rule> rules;
  std::vector<IpAddress> ours;
  for (const LocalRange& range : ranges) {
    rules.push_back(
        {whole(range.address), range.ports, Protocol::none, no_port, static_cast<std::uint32_t>(range.use)});
    // A range of all ports leaves nothing to the host; a second rule for the same would be a conflict.
    if (!range.ports.is_any()) ours.push_back(range.address);
  }
  for (const IpAddress& address : addresses) {
    const bool taken_whole =
        std::ranges::any_of(ranges, [&](const LocalRange& r) { return r.address == address && r.ports.is_any(); });
    if (!taken_whole) ours.push_back(address);
  }
  std::ranges::sort(ours);
  ours.erase(std::ranges::unique(ours).begin(), ours.end());
  for (const IpAddress& address : ours)
    rules.push_back({whole(address), {}, Protocol::none, no_port, static_cast<std::uint32_t>(LocalUse::host)});

  auto match = PrefixPorts::compile(rules);
  CHECK(match);
  LocalAddresses out;
  out.match_ = std::move(*match);
  out.ranges_.assign(ranges.begin(), ranges.end());
  return out;
}

}  // namespace sluice
