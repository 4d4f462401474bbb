#include "l7/upstream/balance.h"

#include <algorithm>

namespace sluice {

namespace {

const policy::Endpoint* by_stride(const policy::EndpointGroup& group, std::uint64_t& turn) {
  const std::size_t n = group.endpoints.size();
  std::uint64_t heaviest = 0;
  for (const policy::Endpoint& endpoint : group.endpoints)
    heaviest = std::max<std::uint64_t>(heaviest, endpoint.weight);
  // In round r, endpoint i is passed over unless (r * weight) mod heaviest wraps: it is chosen weight times in heaviest
  // rounds, evenly spread. The heaviest is chosen in every round, so that this ends within one round.
  for (;;) {
    const std::uint64_t place = turn % n, round = turn / n;
    ++turn;
    const policy::Endpoint& endpoint = group.endpoints[place];
    if (endpoint.weight == 0) continue;
    const std::uint64_t offset = heaviest / 2 * place % heaviest;
    if ((endpoint.weight * round + offset) % heaviest + endpoint.weight >= heaviest) return &endpoint;
  }
}

const policy::Endpoint* by_chance(const policy::EndpointGroup& group, Rng& rng) {
  std::uint64_t at = group.total_weight <= ~std::uint32_t{0} ? rng.below(static_cast<std::uint32_t>(group.total_weight))
                                                             : rng.next() % group.total_weight;
  for (const policy::Endpoint& endpoint : group.endpoints) {
    if (at < endpoint.weight) return &endpoint;
    at -= endpoint.weight;
  }
  return nullptr;
}

}  // namespace

const policy::Endpoint* balance(policy::Balance how, const policy::EndpointGroup& group, std::uint64_t& turn, Rng& rng,
                                Stats& stats) {
  if (group.total_weight == 0) return nullptr;
  if (how == policy::Balance::round_robin) return by_stride(group, turn);
  const policy::Endpoint* one = by_chance(group, rng);
  if (how == policy::Balance::random) return one;
  const policy::Endpoint* other = by_chance(group, rng);
  const auto load = [&stats](const policy::Endpoint* e) { return stats.endpoint(e->id).get(Figure::active_requests); };
  return load(other) < load(one) ? other : one;
}

}  // namespace sluice
