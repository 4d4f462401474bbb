// policy_text.h - the policy file of a golden case.
#pragma once

#include <expected>
#include <string>

#include "tests/support/node.h"

namespace sluice::test {

// Reads the notation described in tests/golden/README.md. The error names the line.
std::expected<NodePolicy, std::string> read_policy(const std::string& text);

}  // namespace sluice::test
