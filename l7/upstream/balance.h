// balance.h - which endpoint of a cluster takes the next request. Weight 0 is draining: never chosen.
// round_robin honours weights by static stride scheduling: a counter is all its state, and over any total_weight turns
// each endpoint is chosen as often as its weight says. random chooses by weight; least_request takes the better of two
// random ones (by requests under way on this worker). One worker; the caller keeps the counter.
#pragma once

#include "dataplane/base/rng.h"
#include "l7/policy.h"
#include "l7/stats.h"

namespace sluice {

// nullptr when no endpoint may be chosen.
const policy::Endpoint* balance(policy::Balance how, const policy::EndpointGroup& group, std::uint64_t& turn, Rng& rng,
                                Stats& stats);

}  // namespace sluice
