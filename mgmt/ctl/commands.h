// commands.h - what each command of sluicectl does: asks the node, prints the answer, says how it ended.
#pragma once

#include <string>

#include "mgmt/ctl/exit.h"
#include "mgmt/ctl/options.h"

namespace sluice::ctl {

// `command` is the subcommand's name. Answers go to standard output, complaints to standard error.
Exit run(const std::string& command, const Options& options, const CLI::App& app);

}  // namespace sluice::ctl
