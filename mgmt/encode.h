// encode.h - a spec back to a finished Policy buffer, for `get` and for the store. decode(encode(x)) == x.
#pragma once

#include <cstdint>
#include <vector>

#include "mgmt/spec.h"

namespace sluice::mgmt {

enum class PrivateKeys : std::uint8_t { keep, leave_out };

std::vector<std::uint8_t> encode_policy(const spec::Policy& policy, PrivateKeys keys);

}  // namespace sluice::mgmt

// Tested in tests/unit/mgmt/decode_test.cc.
