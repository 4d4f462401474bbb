// sluice_bench.cc - the benchmark's command line: `sluice-bench list`, `sluice-bench SCENARIO... [options]`.
// EAL and packet buffers are made here; the scenarios stand in scenario.h. Exit code 0: every packet and answer was
// right; figures that could not be had are in the report under `missing`. 1: something was wrong. 2: usage.
#include <fmt/format.h>
#include <rte_errno.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fstream>

#include "dataplane/port/eal.h"
#include "perf/scenario.h"

namespace sluice::perf {

namespace {

std::string joined(int count, char** words) {
  std::string out;
  for (int i = 0; i < count; ++i) out += (i ? " " : "") + std::string{words[i]};
  return out;
}

void measure(std::span<const Scenario* const> chosen, Length length, Report& report) {
  const std::string prefix = fmt::format("sluice-bench-{}", getpid());
  auto eal = Eal::start({.prefix = prefix, .memory_mib = 512});
  if (!eal) give_up(eal.error());
  if (!(*eal)->note().empty()) report.progress((*eal)->note());
  const Clock clock;
  Buffers buffers{"bench", 32'767, 32'767, 256, -1};
  if (!buffers.ok()) give_up(fmt::format("no memory for packet buffers: {}", rte_strerror(rte_errno)));
  Ground ground{{length}, buffers, clock, report};
  for (const Scenario* scenario : chosen) scenario->run(ground);
}

int main(int count, char** words) {
  CLI::App app{"sluice-bench: how much of Sluice's work a core does, beside others' in the same run"};
  std::vector<std::string> names;
  std::string json;
  bool quick = false, smoke = false;
  app.add_option("scenario", names, "`list`, `all`, or scenarios by name")->required();
  app.add_flag("--quick", quick, "At most 4 minutes a scenario");
  app.add_flag("--smoke", smoke, "At most 20 s a scenario: whether it works, not how fast it is");
  app.add_option("--json", json, "Write the report there");
  try {
    app.parse(count, words);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  }
  if (names.front() == "list") {
    for (const Scenario& scenario : scenarios) fmt::print("{}\n", scenario.name);
    return 0;
  }
  std::vector<const Scenario*> chosen;
  for (const std::string& name : names) {
    const std::size_t before = chosen.size();
    for (const Scenario& scenario : scenarios)
      if (name == "all" || name == scenario.name) chosen.push_back(&scenario);
    if (chosen.size() > before) continue;
    fmt::print(stderr, "sluice-bench: no scenario '{}'; there are:\n", name);
    for (const Scenario& scenario : scenarios) fmt::print(stderr, "  {:<12}{}\n", scenario.name, scenario.about);
    return 2;
  }
  Report report{joined(count, words)};
  measure(chosen, smoke ? Length::smoke : quick ? Length::quick : Length::full, report);
  fmt::print("{}", report.table());
  if (json.empty()) return 0;
  std::ofstream out{json};
  out << report.json();
  out.flush();
  if (!out) give_up(json + " cannot be written");
  return 0;
}

}  // namespace

}  // namespace sluice::perf

int main(int count, char** words) { return sluice::perf::main(count, words); }
