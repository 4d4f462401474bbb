#include "tests/sim/node_watch.h"

#include <cstring>

#include "tests/sim/ends.h"

namespace sluice::sim {

using namespace literals;

namespace {

// A peer is idle after ten seconds of silence, or six with its window shut (l4/tcp/pressure.cc).
constexpr Nanos stands_still = 5_s;

}  // namespace

NodeWatch::Key NodeWatch::key_of(const tcp::Info& info) {
  Key key{};
  std::memcpy(&key[0], info.local.address.bytes.data(), 16);
  std::memcpy(&key[2], info.remote.address.bytes.data(), 16);
  key[4] = std::uint64_t{info.local.port} << 16 | info.remote.port;
  return key;
}

std::string NodeWatch::see(const tcp::Info& info, bool next, Nanos now) {
  const auto [at, is_new] = seen_.try_emplace(key_of(info));
  Seen& seen = at->second;
  if (is_new || info.bytes_sent < seen.sent || !seen.open) seen = {.moved = now};
  seen.look = looks_;
  seen.open = info.state != tcp::State::closed;
  const bool sends = next && info.bytes_sent > seen.sent && !is_new;
  if (is_new || info.bytes_acknowledged != seen.acknowledged ||
      (info.bytes_received != seen.received && info.peer_window > 0))
    seen.moved = now;
  seen.sent = info.bytes_sent;
  seen.acknowledged = info.bytes_acknowledged;
  seen.received = info.bytes_received;
  if (seen.open && sends && info.bytes_sent - info.bytes_acknowledged > info.peer_window)
    return "new data beyond the peer's window (" + std::to_string(info.local.port) + " to " +
           std::to_string(info.remote.port) + ": " + std::to_string(info.bytes_sent - info.bytes_acknowledged) +
           " bytes in flight, a window of " + std::to_string(info.peer_window) + ")";
  return {};
}

std::string NodeWatch::look(const tcp::Stack& stack, const Counters& counters, bool next, Nanos now) {
  ++looks_;
  std::string fault;
  for (const tcp::Info& info : connections_in(stack, now))
    if (const std::string found = see(info, next, now); fault.empty()) fault = found;
  // Those that ended in this turn are the cut ones, and perhaps others.
  const std::uint64_t cuts = counters.get(Counter::tcp_pressure_cut_idle);
  std::uint64_t still = 0;
  for (auto at = seen_.begin(); at != seen_.end();) {
    const Seen& seen = at->second;
    const bool over = seen.look != looks_ || !seen.open;
    if (over && now - seen.moved >= stands_still) ++still;
    at = over ? seen_.erase(at) : std::next(at);
  }
  if (fault.empty() && cuts - cuts_ > still)
    fault = std::to_string(cuts - cuts_) + " connections cut as idle, " + std::to_string(still) + " were";
  cuts_ = cuts;
  return fault;
}

}  // namespace sluice::sim
