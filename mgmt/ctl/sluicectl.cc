// sluicectl.cc - the operator's command line.

#include <cstdlib>

#include "mgmt/ctl/commands.h"

int main(int argc, char** argv) {
  using namespace sluice::ctl;
  CLI::App app;
  Options options;
  if (const char* socket = std::getenv("SLUICE_SOCKET")) options.socket = socket;
  describe(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) { return app.exit(error) == 0 ? 0 : static_cast<int>(Exit::usage); }
  return static_cast<int>(run(app.get_subcommands().front()->get_name(), options, app));
}

// Tested in tests/scripts/start_errors.sh.
