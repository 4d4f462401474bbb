// regex.h - sets of regular expressions over one field, matched whole, by Hyperscan 5.4.
// Each expression is compiled as \A(?:...)\z: it must cover the whole field. An empty field never reaches hs_scan (5.4
// does not promise what it reports then): which expressions match it is found when the set is compiled. Bytes are
// bytes: no UTF-8 mode. Building: management thread. Scanning: any worker, const, with its own scratch.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "l7/route/compile.h"

struct hs_database;

namespace sluice::route {

class Database {
 public:
  Database(hs_database* database, std::vector<std::uint64_t> empty_matches)
      : database_(database), empty_matches_(std::move(empty_matches)) {}
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database();

  // Sets the bits of the expressions that match; `bits` has words() words. At least two bytes behind `text` may be
  // read.
  void scan(std::string_view text, std::span<std::uint64_t> bits, hs_scratch* scratch) const;
  std::uint32_t words() const { return static_cast<std::uint32_t>(empty_matches_.size()); }
  const hs_database* get() const { return database_; }

 private:
  hs_database* database_;
  std::vector<std::uint64_t> empty_matches_;
};

struct DatabaseCache::Impl {
  std::unordered_map<std::string, std::weak_ptr<const Database>> by_patterns;
  std::size_t compiled = 0;

  // What is wrong with one expression, or nothing.
  static std::string fault_of(const std::string& pattern, const CompileLimits& limits);
  // The set, compiled or found. The expressions are good one by one; what is wrong with them together is the error.
  std::expected<std::shared_ptr<const Database>, std::string> get(const std::vector<std::string>& patterns);
  void forget_dead();
};

}  // namespace sluice::route
