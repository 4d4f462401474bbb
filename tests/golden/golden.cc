// golden.cc - runs the golden cases: golden [--bless] [CASE...]. See tests/golden/README.md.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>

#include "tests/golden/policy_text.h"
#include "tests/support/eal_main.h"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::ifstream in{path};
  return {std::istreambuf_iterator<char>{in}, {}};
}

std::string hex(const Frame& frame) {
  std::string out;
  char digits[3];
  for (const std::uint8_t byte : frame) {
    std::snprintf(digits, sizeof digits, "%02x", byte);
    out += digits;
  }
  return out;
}

// What a run of a case gives: the text of its two expectation files.
struct Outcome {
  std::string out, counters;
};

// Counters that count the run itself, not what the case is about.
bool is_about_packets(std::string_view name) {
  return name != "turns" && name != "busy_turns" && name != "busy_tsc" && !name.starts_with("rx_") &&
         !name.starts_with("tx_");
}

std::string counters_text(const Node& node) {
  std::string text;
  for (std::size_t i = 0; i < counter_count; ++i) {
    const std::uint64_t value = node.count(static_cast<Counter>(i));
    if (value && is_about_packets(counter_info[i].name))
      text += std::string{counter_info[i].name} + " " + std::to_string(value) + "\n";
  }
  return text;
}

// One line of in.txt: "@MS PORT: FRAME" or "@MS policy FILE".
std::expected<void, std::string> step(const std::string& line, const fs::path& folder, Node& node, std::string& out) {
  std::istringstream in{line};
  std::string at, what;
  in >> at >> what;
  const unsigned long ms = at.starts_with('@') ? std::strtoul(at.c_str() + 1, nullptr, 10) : 0;
  const Nanos now{1'000'000'000 + static_cast<std::int64_t>(ms) * 1'000'000};
  if (what == "policy") {
    std::string file;
    in >> file;
    const auto policy = read_policy(read_file(folder / file));
    if (!policy) return std::unexpected(policy.error());
    if (auto applied = node.apply(*policy); !applied) return std::unexpected(applied.error());
  } else if (what.ends_with(':')) {
    std::string text;
    std::getline(in >> std::ws, text);
    const auto frame = frame_of(text);
    if (!frame) return std::unexpected(frame.error());
    node.inject(static_cast<PortId>(std::strtoul(what.c_str(), nullptr, 10)), *frame);
  } else if (what != "turn") {
    return std::unexpected("in.txt: cannot read: " + line);
  }
  node.turn(now);
  for (const auto& [port, frame] : node.collect())
    out += at + " " + std::to_string(port) + ": " + text_of(frame) + "\n  = " + hex(frame) + "\n";
  return {};
}

std::expected<Outcome, std::string> run(const fs::path& folder, Buffers& buffers) {
  const std::string text = read_file(folder / "policy.txt");
  if (!text.starts_with("# ")) return std::unexpected(std::string{"policy.txt: the first line does not name the rule"});
  const auto policy = read_policy(text);
  if (!policy) return std::unexpected(policy.error());
  auto node = Node::make(*policy, buffers);
  if (!node) return std::unexpected(node.error());
  Outcome outcome;
  std::istringstream lines{read_file(folder / "in.txt")};
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line.starts_with('#')) continue;
    if (auto done = step(line, folder, **node, outcome.out); !done) return std::unexpected(done.error());
  }
  outcome.counters = counters_text(**node);
  return outcome;
}

// The first line in which two texts differ.
std::string difference(const std::string& wanted, const std::string& got) {
  std::istringstream a{wanted}, b{got};
  for (std::string x, y;;) {
    const bool more_x = static_cast<bool>(std::getline(a, x)), more_y = static_cast<bool>(std::getline(b, y));
    if (!more_x && !more_y) return "";
    if (more_x != more_y || x != y)
      return "expected \"" + (more_x ? x : "the end") + "\", got \"" + (more_y ? y : "the end") + "\"";
  }
}

class Runner {
 public:
  Runner(fs::path root, bool bless) : root_(std::move(root)), bless_(bless) {}

  bool one(const std::string& name, Buffers& buffers) {
    const fs::path folder = root_ / name;
    const unsigned before = buffers.data_free();
    auto outcome = run(folder, buffers);
    std::string why = outcome ? "" : outcome.error();
    if (why.empty() && buffers.data_free() != before) why = "packet buffers are lost";
    const auto [earlier, fresh] = seen_.emplace(read_file(folder / "policy.txt") + read_file(folder / "in.txt"), name);
    if (!fresh) why = "same policy and input as " + earlier->second;
    if (why.empty() && bless_) {
      std::ofstream{folder / "out.txt"} << outcome->out;
      std::ofstream{folder / "counters.txt"} << outcome->counters;
    }
    if (why.empty()) why = difference(read_file(folder / "out.txt"), outcome->out);
    if (why.empty()) why = difference(read_file(folder / "counters.txt"), outcome->counters);
    std::cout << (why.empty() ? "ok " : "not ok ") << name << (why.empty() ? "" : " # " + why) << std::endl;
    return why.empty();
  }

 private:
  fs::path root_;
  bool bless_;
  std::map<std::string, std::string> seen_;
};

int main_of(int argc, char** argv) {
  bool bless = false;
  std::vector<std::string> names;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view{argv[i]} == "--bless") bless = true;
    else names.push_back(argv[i]);
  }
  if (bless && std::getenv("CI")) {
    std::cerr << "golden: --bless is refused when CI is set: what is expected is reviewed by a person\n";
    return 1;
  }
  const char* tree = std::getenv("SLUICE_ROOT");
  const fs::path root = fs::path{tree ? tree : "."} / "tests" / "golden";
  if (names.empty())
    for (const auto& entry : fs::directory_iterator{root})
      if (fs::exists(entry.path() / "policy.txt")) names.push_back(entry.path().filename());
  std::ranges::sort(names);
  if (!start_eal(argv[0])) return 1;
  bool good = !names.empty();
  {
    Buffers buffers{"golden", 4095, 1023, 0, 0};
    CHECK(buffers.ok());
    Runner runner{root, bless};
    for (const std::string& name : names) good = runner.one(name, buffers) && good;
  }
  stop_eal();
  return good ? 0 : 1;
}

}  // namespace
}  // namespace sluice::test

int main(int argc, char** argv) { return sluice::test::main_of(argc, argv); }
