// report.h - what a scenario found, and the forms it is given in: a table for people, and a JSON document
// {schema, commit, command, started, machine, figures, missing}. A figure's value is the median of its samples, its
// spread (max - min) / median; a ratio is above 1 where we are the better one. What could not be measured is in
// `missing` with the reason, never a number. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::perf {

// How long a scenario may take: full, quick (at most 4 minutes) or smoke (at most 20 s).
enum class Length : std::uint8_t { full, quick, smoke };

struct Options {
  Length length = Length::full;
  std::string only{};  // figures whose names begin so; empty: all
  template <typename T>
  T pick(T full, T quick, T smoke) const {
    return length == Length::full ? full : length == Length::quick ? quick : smoke;
  }
  bool wants(std::string_view name) const { return name.starts_with(only); }
  unsigned samples() const { return pick(9u, 5u, 2u); }
};

class Params {
 public:
  Params& add(std::string_view name, std::string_view text);
  Params& add(std::string_view name, double number);
  const std::string& json() const { return json_; }

 private:
  std::string json_;
};

struct Figure {
  std::string scenario, name;
  Params params;
  std::string unit;
  bool higher_is_better = true;
  std::vector<double> samples;
  std::string peer;
  std::vector<double> peer_samples;
  std::string result_hash;  // of what was produced, so that nobody makes it faster by changing its meaning

  double value() const;
  double spread() const;
  std::optional<double> ratio() const;
};

double median(std::vector<double> values);
std::string hash_text(std::uint64_t hash);

class Report {
 public:
  explicit Report(std::string command);
  void add(Figure figure);
  // A figure that should be there and could not be had.
  void miss(std::string scenario, std::string name, std::string why);
  // The names of unbuilt.h of this scenario.
  void add_unbuilt(std::string_view scenario);
  // Shows what is being done, on standard error.
  void progress(std::string_view what) const;

  std::string table() const;
  std::string json() const;

 private:
  struct Missing {
    std::string scenario, name, why;
    bool built;
  };
  std::string command_, started_;
  std::vector<Figure> figures_;
  std::vector<Missing> missing_;
};

}  // namespace sluice::perf
