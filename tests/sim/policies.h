// policies.h - the policies of a run, as an operator would write them. Generations differ in where "/swap" leads and in
// an endpoint that comes and goes; all else stays, so that every other answer is known beforehand.
#pragma once

#include "mgmt/spec.h"

namespace sluice::sim {

// `odd`: /swap leads to cluster b and says so; else to a. `extra`: cluster a has its second endpoint.
mgmt::spec::Policy make_policy(bool odd, bool extra);
// One that must be refused.
mgmt::spec::Policy bad_policy();
mgmt::spec::Endpoint extra_endpoint();

}  // namespace sluice::sim
