// decode.h - bytes of a peer to a spec: copied to aligned memory, verified, read into plain structs.
// What comes in may be anything. A buffer may name one table or string many times, so its verified size says little
// about what it unfolds to: tables are bounded by the bytes that carry them, and the spec's own size by a budget.
#pragma once

#include <cstddef>
#include <expected>

#include "dataplane/base/bytes.h"
#include "mgmt/schema/control_generated.h"
#include "mgmt/spec.h"

namespace sluice::mgmt {

struct DecodeLimits {
  std::size_t bytes = 64 << 20;           // of the buffer
  std::size_t tables = 4'000'000;         // in the buffer; 100,000 routes take about 600,000
  std::size_t decoded_bytes = 512 << 20;  // of the spec that it unfolds to
};

// Reads a finished Policy buffer (identifier "SLPO", no size prefix). Faults: not a policy at all (path ""), or values
// of an enum that this build does not know.
std::expected<spec::Policy, Faults> decode_policy(ByteView bytes, const DecodeLimits& limits);

// Reads a delta that stands in a verified request.
std::expected<spec::EndpointDelta, Faults> decode_delta(const fb::EndpointDelta& delta, const DecodeLimits& limits);

}  // namespace sluice::mgmt
