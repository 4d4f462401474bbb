// check.h - everything that is wrong with a Spec, by its path, before anything is built of it. Management thread.
#pragma once

#include <vector>

#include "l7/route/compile.h"

namespace sluice::route {

std::vector<Error> check(const spec::Spec& spec, const CompileLimits& limits);

}  // namespace sluice::route

// Tested in tests/unit/l7/route/compile_test.cc.
