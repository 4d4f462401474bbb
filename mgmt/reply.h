// reply.h - Reply buffers (mgmt/schema/control.fbs), size-prefixed and ready to be sent.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "mgmt/publish.h"
#include "mgmt/schema/control_generated.h"

namespace sluice::mgmt {

using Bytes = std::vector<std::uint8_t>;

// A reply without a result.
Bytes plain_reply(std::uint64_t id, fb::Outcome outcome, std::string_view message);
// To Apply, DryRun and EndpointDelta. Lists at most 1000 changes and as many warnings.
Bytes apply_reply(std::uint64_t id, const ApplyResult& result);
// To Get.
Bytes copy_reply(std::uint64_t id, std::uint64_t generation, ByteView policy);

}  // namespace sluice::mgmt

// Tested in tests/unit/mgmt/server_test.cc.
