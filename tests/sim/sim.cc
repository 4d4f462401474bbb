// sluice-sim: runs seeds of the simulated world (world.h), or makes a failing one smaller.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "tests/sim/seeds.h"

namespace sluice::sim {
namespace {

// The words between commas.
template <typename F>
bool each_word(std::string_view list, F&& f) {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    if (!f(list.substr(0, comma))) return false;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return true;
}

bool read_without(std::string_view list, Shrink& shrink) {
  return each_word(list, [&](std::string_view name) {
    const auto trouble = trouble_of(name);
    if (trouble) shrink.without |= 1u << static_cast<unsigned>(*trouble);
    return trouble.has_value();
  });
}

bool read_only(std::string_view list, Shrink& shrink) {
  return each_word(list, [&](std::string_view word) {
    shrink.only.push_back(static_cast<std::uint32_t>(std::strtoul(std::string{word}.c_str(), nullptr, 10)));
    return true;
  });
}

bool read_options(int argc, char** argv, Options& options, std::uint64_t& smaller) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const auto number = [&] { return std::strtoull(argv[++i], nullptr, 10); };
    if (word == "--verbose") options.verbose = true;
    else if (word == "--stop") options.stop = true;
    else if (i + 1 == argc) return false;
    else if (word == "--seeds") options.seeds = number();
    else if (word == "--first") options.first = number();
    else if (word == "--jobs") options.jobs = static_cast<unsigned>(number());
    else if (word == "--minimise") smaller = number();
    else if (word == "--record") options.record = argv[++i];
    else if (word == "--only") read_only(argv[++i], options.shrink);
    else if (word != "--without" || !read_without(argv[++i], options.shrink)) return false;
  }
  return options.jobs >= 1 && options.first >= 1;
}

void usage() {
  std::fprintf(stderr,
               "usage: sluice-sim [--seeds N] [--first SEED] [--jobs N] [--verbose] [--stop]\n"
               "                  [--record FILE]  (the table of events)\n"
               "                  [--without TROUBLE,...] [--only CONNECTION,...]\n"
               "       sluice-sim --minimise SEED\n"
               "troubles:\n");
  for (const TroubleName& each : trouble_names)
    std::fprintf(stderr, "  %-10.*s %.*s\n", static_cast<int>(each.name.size()), each.name.data(),
                 static_cast<int>(each.meaning.size()), each.meaning.data());
}

}  // namespace
}  // namespace sluice::sim

int main(int argc, char** argv) {
  sluice::sim::Options options;
  std::uint64_t smaller = 0;
  if (!sluice::sim::read_options(argc, argv, options, smaller)) return sluice::sim::usage(), 2;
  return smaller ? sluice::sim::minimise(smaller, options.shrink) : sluice::sim::run_seeds(options);
}
