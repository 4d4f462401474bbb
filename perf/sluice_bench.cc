// sluice_bench.cc - the benchmark's command line: `sluice-bench list`, `sluice-bench SCENARIO... [options]`.
// EAL and packet buffers are made here; the scenarios stand in scenario.h. Exit code 0: every packet and answer was
// right; figures that could not be had are in the report under `missing`. 1: something was wrong. 2: usage.
#include <fmt/format.h>
#include <rte_errno.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>

#include "dataplane/port/eal.h"
#include "perf/scenario.h"
#include "perf/supervise.h"
#include "perf/unbuilt.h"

namespace sluice::perf {

namespace {

std::string joined(int count, char** words) {
  std::string out;
  for (int i = 0; i < count; ++i) out += (i ? " " : "") + std::string{words[i]};
  return out;
}

void measure(std::span<const Scenario* const> chosen, const Options& options, Report& report) {
  auto eal = Eal::start({.prefix = run_prefix(), .memory_mib = 512});
  if (!eal) give_up(eal.error());
  if (!(*eal)->note().empty()) report.progress((*eal)->note());
  const Clock clock;
  Buffers buffers{"bench", 32'767, 32'767, 256, -1};
  if (!buffers.ok()) give_up(fmt::format("no memory for packet buffers: {}", rte_strerror(rte_errno)));
  Ground ground{options, buffers, clock, report};
  for (const Scenario* scenario : chosen) scenario->run(ground);
}

struct Wish {
  std::vector<const Scenario*> scenarios;
  bool all = false;
  Length length = Length::full;
  std::string command, json, only;
};

int run(const Wish& wish) {
  Report report{wish.command};
  measure(wish.scenarios, {wish.length, wish.only}, report);
  const auto chosen = [&](std::string_view name) {
    return std::ranges::any_of(wish.scenarios, [&](const Scenario* scenario) { return scenario->name == name; });
  };
  std::string_view last;
  for (const Unbuilt& entry : unbuilt)
    if (entry.scenario != last && (wish.all || chosen(entry.scenario))) report.add_unbuilt(last = entry.scenario);
  fmt::print("{}", report.table());
  if (wish.json.empty()) return 0;
  std::ofstream out{wish.json};
  out << report.json();
  out.flush();
  if (!out) give_up(wish.json + " cannot be written");
  return 0;
}

void tell_scenarios(std::FILE* out) {
  for (const Scenario& scenario : scenarios) fmt::print(out, "  {:<12}{}\n", scenario.name, scenario.about);
}

int main(int count, char** words) {
  CLI::App app{"sluice-bench: how much of Sluice's work a core does, beside others' in the same run"};
  std::vector<std::string> names;
  Wish wish{.command = joined(count, words)};
  bool quick = false, smoke = false;
  app.add_option("scenario", names, "`list`, `all`, or scenarios by name; none tells which there are");
  app.add_flag("--quick", quick, "At most 4 minutes a scenario");
  app.add_flag("--smoke", smoke, "At most 20 s a scenario: whether it works, not how fast it is");
  app.add_option("--only", wish.only, "Of tcp: figures whose names begin so");
  app.add_option("--json", wish.json, "Write the report there");
  try {
    app.parse(count, words);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  }
  if (names.empty()) {
    fmt::print("usage: sluice-bench SCENARIO... [--quick] [--json FILE], or `all`; the scenarios are\n");
    tell_scenarios(stdout);
    return 0;
  }
  if (names.front() == "list") {
    for (const Scenario& scenario : scenarios) fmt::print("{}\n", scenario.name);
    return 0;
  }
  for (const std::string& name : names) {
    const std::size_t before = wish.scenarios.size();
    for (const Scenario& scenario : scenarios)
      if (name == "all" || name == scenario.name) wish.scenarios.push_back(&scenario);
    wish.all |= name == "all";
    if (wish.scenarios.size() > before) continue;
    fmt::print(stderr, "sluice-bench: no scenario '{}'; there are:\n", name);
    tell_scenarios(stderr);
    return 2;
  }
  wish.length = smoke ? Length::smoke : quick ? Length::quick : Length::full;
  return supervised([&wish] { return run(wish); });
}

}  // namespace

}  // namespace sluice::perf

int main(int count, char** words) { return sluice::perf::main(count, words); }
