// trouble.h - the kinds of trouble a seed may have, one by one, so that a schedule that fails can be made smaller: some
// kinds left out, some connections only. What is left out changes no other draw of the seed.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace sluice::sim {

enum class Trouble : std::uint8_t {
  loss,
  bursts,
  tail_loss,
  ack_loss,
  outage,
  reorder,
  duplicate,
  corrupt,
  delay,
  rate,
  forge,
  shrink,
  mtu,
  scarce,
  failing,
  plain,
  ecn,
  rekey,
  images,
  swaps,
  teardown,
  cookies,
  small_mss,
  lies,
  renege,
  ports,
  past,
  count_
};
inline constexpr std::size_t trouble_count = static_cast<std::size_t>(Trouble::count_);

struct TroubleName {
  std::string_view name, meaning;
};
inline constexpr std::array<TroubleName, trouble_count> trouble_names{{
    {"loss", "frames lost one by one"},
    {"bursts", "frames lost in bursts (Gilbert-Elliott)"},
    {"tail-loss", "the last segment of a flight lost"},
    {"ack-loss", "ACKs lost on their way to the node"},
    {"outage", "a link down for a while"},
    {"reorder", "frames held back"},
    {"duplicate", "frames that come twice"},
    {"corrupt", "one bit flipped"},
    {"delay", "delay and jitter"},
    {"rate", "a line with a rate, a short queue, ECN marks"},
    {"forge", "forged ACKs of what was never sent, and RSTs"},
    {"shrink", "windows that shrink"},
    {"mtu", "a path whose MTU changes, with ICMP or without"},
    {"scarce", "pools so small that they run full"},
    {"failing", "allocations that fail now and then"},
    {"plain", "hosts without SACK or timestamps"},
    {"ecn", "hosts that ask for ECN"},
    {"rekey", "TLS keys that wear out"},
    {"images", "connections moved as images"},
    {"swaps", "policies that change"},
    {"teardown", "a node torn down in the middle first"},
    {"cookies", "SYN cookies for every SYN"},
    {"small-mss", "hosts that offer a small MSS"},
    {"lies", "ICMP errors that somebody forges, blindly or with an MTU that no path has"},
    {"renege", "SACKs of what never came"},
    {"ports", "so few ports to connect from that they are used again"},
    {"past", "what the node received long ago comes once more"},
}};

constexpr std::optional<Trouble> trouble_of(std::string_view name) {
  for (std::size_t i = 0; i < trouble_count; ++i)
    if (trouble_names[i].name == name) return static_cast<Trouble>(i);
  return std::nullopt;
}

// A smaller schedule than the seed's own.
struct Shrink {
  std::uint32_t without = 0;        // kinds of trouble, a bit each
  std::vector<std::uint32_t> only;  // connections of the plan; empty: all

  bool has(Trouble trouble) const { return !(without >> static_cast<unsigned>(trouble) & 1); }
  bool keeps(std::uint32_t connection) const {
    return only.empty() || std::ranges::find(only, connection) != only.end();
  }
  bool any() const { return without || !only.empty(); }
};
static_assert(trouble_count <= 32);

}  // namespace sluice::sim
