#include "l4/prefix_ports.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace sluice {

namespace {

// Prefix length in the 16-byte form.
std::uint8_t bits_of(const Prefix& prefix) {
  return static_cast<std::uint8_t>(prefix.length + (prefix.address.is_v4() ? 96 : 0));
}

void mask_of(std::uint8_t bits, std::uint64_t (&mask)[2]) {
  std::uint8_t bytes[16] = {};
  for (unsigned bit = 0; bit < bits; ++bit) bytes[bit / 8] |= static_cast<std::uint8_t>(0x80 >> (bit % 8));
  std::memcpy(mask, bytes, 16);
}

constexpr std::uint32_t level_shift = 0, protocol_shift = 8, port_shift = 16;

}  // namespace

PrefixPorts::Probe PrefixPorts::probe_of(const Level& level, std::size_t index, const IpAddress& address,
                                         std::uint16_t port, Protocol protocol) {
  Probe probe;
  std::memcpy(probe.address, address.bytes.data(), 16);
  probe.address[0] &= level.mask[0];
  probe.address[1] &= level.mask[1];
  probe.port_and_level = static_cast<std::uint32_t>(index) << level_shift |
                         std::uint32_t{static_cast<std::uint8_t>(protocol)} << protocol_shift |
                         (level.single_port ? std::uint32_t{port} << port_shift : 0);
  return probe;
}

std::uint64_t PrefixPorts::hash(const Probe& probe) {
  const auto product = static_cast<unsigned __int128>(probe.address[0] ^ 0xa0761d6478bd642f ^ probe.port_and_level) *
                       (probe.address[1] ^ 0xe7037ed1a0b428db ^ std::uint64_t{probe.port_and_level} << 17);
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

const PrefixPorts::Slot* PrefixPorts::slot_of(const Probe& probe) const {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = hash(probe) & mask; slots_[at].count; at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.address[0] == probe.address[0] && slot.address[1] == probe.address[1] &&
        slot.port_and_level == probe.port_and_level)
      return &slot;
  }
  return nullptr;
}

bool PrefixPorts::find(const IpAddress& destination, std::uint16_t port, Protocol protocol, PortId ingress,
                       Match& out) const {
  const bool v4 = destination.is_v4();
  for (std::size_t i = 0; i < levels_.size(); ++i) {
    const Level& level = levels_[i];
    if (level.v4 != v4) continue;
    const Slot* slot = slot_of(probe_of(level, i, destination, port, protocol));
    if (!slot) continue;
    for (const Entry& entry : std::span{entries_}.subspan(slot->first, slot->count)) {
      if (!entry.ports.contains(port) || (entry.ingress != no_port && entry.ingress != ingress)) continue;
      out = {entry.value, level.bits};
      return true;
    }
  }
  return false;
}

std::expected<PrefixPorts, RuleConflict> PrefixPorts::compile(std::span<const Rule> rules) {
  PrefixPorts table;
  // Levels from the most to the least specific; of one prefix length, single ports come before ranges.
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const Rule& rule = rules[i];
    if (rule.ports.first > rule.ports.last) return std::unexpected(RuleConflict{i, i});
    Level level{{}, bits_of(rule.destination), rule.destination.address.is_v4(), rule.ports.width() == 1};
    mask_of(level.bits, level.mask);
    const auto same = [&](const Level& l) {
      return l.bits == level.bits && l.v4 == level.v4 && l.single_port == level.single_port;
    };
    if (std::ranges::none_of(table.levels_, same)) table.levels_.push_back(level);
  }
  std::ranges::sort(table.levels_, [](const Level& a, const Level& b) {
    return std::tuple{a.bits, a.single_port} > std::tuple{b.bits, b.single_port};
  });

  // What is probed together stands together, the narrower range first, then one ingress port before any.
  using Key = std::tuple<std::uint64_t, std::uint64_t, std::uint32_t>;
  std::map<Key, std::vector<std::size_t>> groups;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const Rule& rule = rules[i];
    const auto level = std::ranges::find_if(table.levels_, [&](const Level& l) {
      return l.bits == bits_of(rule.destination) && l.v4 == rule.destination.address.is_v4() &&
             l.single_port == (rule.ports.width() == 1);
    });
    const Probe probe = probe_of(*level, static_cast<std::size_t>(level - table.levels_.begin()),
                                 rule.destination.address, rule.ports.first, rule.protocol);
    groups[{probe.address[0], probe.address[1], probe.port_and_level}].push_back(i);
  }
  std::size_t slot_count = 2;
  while (slot_count < groups.size() * 2) slot_count *= 2;
  table.slots_.resize(slot_count);
  for (auto& [key, members] : groups) {
    const auto order = [&](std::size_t i) {
      const Rule& rule = rules[i];
      return std::tuple{rule.ports.width(), rule.ports.first, rule.ingress};  // no_port, any, is the largest
    };
    std::ranges::stable_sort(members, {}, order);
    for (std::size_t i = 1; i < members.size(); ++i)
      if (order(members[i - 1]) == order(members[i])) return std::unexpected(RuleConflict{members[i - 1], members[i]});
    const Probe probe{{std::get<0>(key), std::get<1>(key)}, std::get<2>(key)};
    std::size_t at = hash(probe) & (slot_count - 1);
    while (table.slots_[at].count) at = (at + 1) & (slot_count - 1);
    table.slots_[at] = {{probe.address[0], probe.address[1]},
                        probe.port_and_level,
                        static_cast<std::uint32_t>(table.entries_.size()),
                        static_cast<std::uint32_t>(members.size())};
    for (const std::size_t i : members) table.entries_.push_back({rules[i].ports, rules[i].ingress, rules[i].value});
  }
  return table;
}

}  // namespace sluice
