#include "tests/sim/ends.h"

#include <algorithm>

namespace sluice::sim {

namespace {

constexpr std::uint16_t link_mtu = 1500;
// RFC 8201 4 for IPv6; for IPv4 what is believed at least (Linux: 552), less the headers.
constexpr std::uint16_t least_mss4 = 552 - 40, least_mss6 = 1280 - 60;

bool is_open(const tcp::Info& info) {
  return info.state >= tcp::State::established && info.state < tcp::State::time_wait;
}

const char* unlike(const tcp::Info& mine, const tcp::Info& theirs, std::uint16_t offered) {
  if (mine.send_scale != theirs.receive_scale || mine.receive_scale != theirs.send_scale)
    return "the window scale that was agreed on";
  if (mine.sack != theirs.sack) return "whether SACK was agreed on";
  if (mine.timestamps != theirs.timestamps) return "whether timestamps were agreed on";
  if (mine.mss > offered) return "the MSS: larger than what was offered";
  // A cookie knows a few sizes only: of them, the largest that is not above what was offered, 536 at least.
  const std::uint16_t least = mine.local.address.is_v4() ? least_mss4 : mine.passive ? std::uint16_t{536} : least_mss6;
  if (mine.mss < std::min(offered, least)) return "the MSS: smaller than any path may ask for";
  return nullptr;
}

}  // namespace

std::vector<tcp::Info> connections_in(const tcp::Stack& stack, Nanos now) {
  std::vector<tcp::Info> all;
  std::uint32_t from = 0;
  do {
    tcp::Info found[64];
    std::size_t count = 0;
    from = stack.list(from, found, count, now);
    all.insert(all.end(), found, found + count);
  } while (from != 0);
  return all;
}

std::uint16_t offered_mss(std::uint16_t mss_max, bool ip4) {
  return std::min<std::uint16_t>(mss_max, link_mtu - (ip4 ? 40 : 60));
}

std::string difference(const std::vector<tcp::Info>& node, const std::vector<tcp::Info>& peers, std::uint16_t mss_max) {
  for (const tcp::Info& mine : node) {
    const auto theirs = std::ranges::find_if(
        peers, [&](const tcp::Info& peer) { return peer.local == mine.remote && peer.remote == mine.local; });
    if (theirs == peers.end() || !is_open(mine) || !is_open(*theirs)) continue;
    if (const char* what = unlike(mine, *theirs, offered_mss(mss_max, mine.local.address.is_v4())))
      return std::string{"the ends of a connection do not agree on "} + what + " (" + std::to_string(mine.local.port) +
             " to " + std::to_string(mine.remote.port) + ", " + std::to_string(mine.mss) + " bytes)";
  }
  return {};
}

}  // namespace sluice::sim
