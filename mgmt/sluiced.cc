// sluiced.cc - the appliance's command line.

#include <fmt/format.h>

#include <unistd.h>

#include <cstdio>

#include "mgmt/appliance.h"
#include "mgmt/command_line.h"
#include "mgmt/security.h"
#include "mgmt/version.h"

namespace {

using namespace sluice::mgmt;

int exit_with(ExitCode code) { return static_cast<int>(code); }

// The node file with all its errors, or what it means for this machine.
int check(const NodeConfig& config) {
  const auto topology = plan_topology(config, allowed_cpus());
  if (!topology) {
    for (const std::string& line : topology.error().lines) fmt::print(stderr, "sluiced: {}\n", line);
    return exit_with(ExitCode::usage);
  }
  fmt::print("{}", to_text(*topology, config));
  return exit_with(ExitCode::ok);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app;
  CommandLine line;
  describe(app, line);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? exit_with(ExitCode::ok) : exit_with(ExitCode::usage);
  }
  if (line.version) {
    fmt::print("{}", version_report());
    return exit_with(ExitCode::ok);
  }
  const auto config = read_node_file(line.file);
  if (!config) {
    for (const NodeError& error : config.error()) fmt::print(stderr, "sluiced: {}\n", to_text(error, line.file));
    return exit_with(ExitCode::usage);
  }
  if (line.only_check) return check(*config);

  restrict_files();
  sluice::Log log{STDERR_FILENO, config->log_level};
  auto node = Appliance::start(*config, log);
  if (!node) {
    fmt::print(stderr, "sluiced: {}\n", node.error().text);
    return exit_with(node.error().code);
  }
  const ExitCode code = (*node)->run();
  node->reset();
  return exit_with(code);
}

// Tested in tests/scripts/start_errors.sh.
