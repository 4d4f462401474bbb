// command_line.h - sluiced's command line and how the process ends: what main() parses and docs/commands.md tells.
// Tested in tests/scripts/start_errors.sh.
#pragma once

#include <CLI/CLI.hpp>

#include <array>
#include <string>
#include <string_view>

#include "mgmt/plane.h"

namespace sluice::mgmt {

struct CommandLine {
  std::string file = "/etc/sluice/node.toml";
  bool only_check = false, version = false;
};

struct ExitMeaning {
  ExitCode code;
  std::string_view text;
};
inline constexpr std::array exit_meanings = {
    ExitMeaning{ExitCode::ok, "it ran, drained and left; or --check found no fault"},
    ExitMeaning{ExitCode::failed, "it could not start, for a reason without a code of its own"},
    ExitMeaning{ExitCode::usage, "the command line or the node file is wrong; every error is printed with its line"},
    ExitMeaning{ExitCode::memory, "too few hugepages or too little memory"},
    ExitMeaning{ExitCode::port, "a port cannot be opened"},
    ExitMeaning{ExitCode::running, "another instance has the prefix or the socket, or somebody the metrics address"},
    ExitMeaning{ExitCode::state, "the state folder or a log file cannot be used: full disk, no right, damaged key"},
};

inline void describe(CLI::App& app, CommandLine& line) {
  app.name("sluiced");
  app.description("Sluice: a node-level service-mesh data plane");
  app.add_option("-c,--config", line.file, "the node file")->capture_default_str();
  app.add_flag("--check", line.only_check, "print the topology and every error; start nothing");
  app.add_flag("--version", line.version, "print the versions of all parts and the code path");
  std::string footer = "Exit codes:\n";
  for (const ExitMeaning& meaning : exit_meanings)
    footer += "  " + std::to_string(static_cast<int>(meaning.code)) + "  " + std::string{meaning.text} + "\n";
  app.footer(footer);
}

}  // namespace sluice::mgmt
