#include "perf/report.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <rte_cycles.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <thread>

#include "dataplane/port/eal.h"
#include "mgmt/version.h"
#include "perf/unbuilt.h"

namespace sluice::perf {

namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\', out += c;
    else if (static_cast<unsigned char>(c) < 0x20) out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else out += c;
  }
  return out + '"';
}

std::string number(double value) { return std::isfinite(value) ? fmt::format("{:.6g}", value) : "null"; }

std::string numbers(const std::vector<double>& values) {
  std::string out;
  for (const double value : values) out += (out.empty() ? "" : ", ") + number(value);
  return "[" + out + "]";
}

std::string cpu_model() {
  std::ifstream in{"/proc/cpuinfo"};
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

std::string machine() {
  utsname kernel{};
  uname(&kernel);
  return fmt::format(R"({{ "cpu": {}, "cores": {}, "tsc_hz": {}, "kernel": {}, "dpdk": {}, "isa": {} }})",
                     quoted(cpu_model()), std::thread::hardware_concurrency(), rte_get_tsc_hz(), quoted(kernel.release),
                     quoted(dpdk_version()),
                     quoted(__builtin_cpu_supports("avx512f") ? "avx512"
                            : __builtin_cpu_supports("avx2")  ? "avx2"
                                                              : "baseline"));
}

std::string json_of(const Figure& f) {
  std::string out = fmt::format(
      R"(    {{ "scenario": {}, "name": {}, "params": {{ {} }}, "value": {}, "unit": {}, "better": "{}", "samples": {}, )"
      R"("spread": {})",
      quoted(f.scenario), quoted(f.name), f.params.json(), number(f.value()), quoted(f.unit),
      f.higher_is_better ? "higher" : "lower", numbers(f.samples), number(f.spread()));
  if (const auto ratio = f.ratio())
    out += fmt::format(R"(, "peer": {}, "peer_value": {}, "peer_samples": {}, "ratio": {})", quoted(f.peer),
                       number(median(f.peer_samples)), numbers(f.peer_samples), number(*ratio));
  if (!f.result_hash.empty()) out += fmt::format(R"(, "result_hash": {})", quoted(f.result_hash));
  return out + " }";
}

}  // namespace

Params& Params::add(std::string_view name, std::string_view text) {
  json_ += fmt::format("{}{}: {}", json_.empty() ? "" : ", ", quoted(name), quoted(text));
  return *this;
}
Params& Params::add(std::string_view name, double value) {
  json_ += fmt::format("{}{}: {}", json_.empty() ? "" : ", ", quoted(name), number(value));
  return *this;
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const std::size_t half = values.size() / 2;
  return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

std::string hash_text(std::uint64_t hash) { return fmt::format("{:016x}", hash); }

double Figure::value() const { return median(samples); }

double Figure::spread() const {
  if (samples.empty() || value() == 0) return 0;
  const auto [low, high] = std::ranges::minmax(samples);
  return (high - low) / value();
}

std::optional<double> Figure::ratio() const {
  const double theirs = median(peer_samples), ours = value();
  if (peer.empty() || theirs <= 0 || ours <= 0) return std::nullopt;
  return higher_is_better ? ours / theirs : theirs / ours;
}

Report::Report(std::string command) : command_(std::move(command)) {
  started_ = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
}

void Report::add(Figure figure) {
  const auto ratio = figure.ratio();
  progress(fmt::format("{} {}: {:.4g} {}{}", figure.scenario, figure.name, figure.value(), figure.unit,
                       ratio ? fmt::format(", {:.2f} x {}", *ratio, figure.peer) : ""));
  figures_.push_back(std::move(figure));
}

void Report::miss(std::string scenario, std::string name, std::string why) {
  progress(fmt::format("{} {}: missing: {}", scenario, name, why));
  missing_.push_back({std::move(scenario), std::move(name), std::move(why), true});
}

void Report::add_unbuilt(std::string_view scenario) {
  for (const Unbuilt& entry : unbuilt) {
    if (entry.scenario != scenario) continue;
    for (std::string_view rest = entry.names; !rest.empty();) {
      const std::size_t end = std::min(rest.find(' '), rest.size());
      missing_.push_back({std::string{scenario}, std::string{rest.substr(0, end)}, std::string{entry.why}, false});
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
}

void Report::progress(std::string_view what) const { fmt::print(stderr, "sluice-bench: {}\n", what); }

std::string Report::table() const {
  std::string out = fmt::format("{:<12}{:<24}{:>12}  {:<20}{:>8}  {:<14}{:>12}{:>8}\n", "scenario", "name", "value",
                                "unit", "spread", "peer", "peer value", "ratio");
  for (const Figure& f : figures_) {
    out +=
        fmt::format("{:<12}{:<24}{:>12.4g}  {:<20}{:>7.1f}%", f.scenario, f.name, f.value(), f.unit, f.spread() * 100);
    if (const auto ratio = f.ratio())
      out += fmt::format("  {:<14}{:>12.4g}{:>8.2f}", f.peer, median(f.peer_samples), *ratio);
    out += '\n';
  }
  for (const Missing& m : missing_)
    out += fmt::format("{:<12}{:<24}{}: {}\n", m.scenario, m.name, m.built ? "failed" : "not built", m.why);
  return out;
}

std::string Report::json() const {
  std::string figures, missing;
  for (const Figure& f : figures_) figures += (figures.empty() ? "" : ",\n") + json_of(f);
  for (const Missing& m : missing_)
    missing += fmt::format("{}    {{ \"scenario\": {}, \"name\": {}, \"why\": {}, \"built\": {} }}",
                           missing.empty() ? "" : ",\n", quoted(m.scenario), quoted(m.name), quoted(m.why), m.built);
  return fmt::format(
      "{{ \"schema\": 1, \"commit\": {}, \"command\": {}, \"started\": {},\n  \"machine\": {},\n"
      "  \"figures\": [\n{}\n  ],\n  \"missing\": [\n{}\n  ] }}\n",
      quoted(mgmt::commit_text()), quoted(command_), quoted(started_), machine(), figures, missing);
}

}  // namespace sluice::perf
