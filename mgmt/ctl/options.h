// options.h - sluicectl's command line: one place for what it takes, its help, the reference page and shell completion.
#pragma once

#include <CLI/CLI.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::ctl {

inline constexpr const char* default_socket = "/run/sluice/sluice.sock";

struct Options {
  std::string socket = default_socket;
  bool json = false;
  double timeout_s = 60;

  std::string file;  // apply
  bool dry_run = false;
  std::uint64_t if_generation = 0;

  std::vector<std::string> set, weight, remove;  // endpoints

  bool binary = false;  // get
  std::string output;

  bool watch = false, all = false;  // stats
  double interval_s = 1;
  std::uint32_t rounds = 0;
  std::vector<std::string> kinds;

  std::string service, listener;  // flows, connections
  bool detail = false;
  std::uint32_t limit = 1000;

  std::uint32_t drain_timeout_ms = 0;
  bool wait = false;

  std::uint32_t packets = 10;  // trace
  std::string address, protocol, ingress;
  std::uint16_t port = 0;
  double wait_s = 10;

  std::string level, shell;
};

// Adds every subcommand; what is parsed goes to `options`.
void describe(CLI::App& app, Options& options);

// For bash, from the same description.
std::string bash_completion(const CLI::App& app);

}  // namespace sluice::ctl
