// compile.h - makes a Table of a Spec, or says everything that is wrong with it.
// Management thread: allocates, and Hyperscan may take seconds for thousands of expressions. Equal sets of expressions
// are compiled once and shared, within a table and across generations, through the DatabaseCache.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "l7/route/table.h"

namespace sluice::route {

struct Error {
  std::string path;  // where in the spec: "hosts[2].routes[0].headers[1].match.value"
  std::string text;
};

// Hyperscan cannot be interrupted, so that the time to compile is bounded by what it is given.
struct CompileLimits {
  std::uint32_t routes = 1'000'000;
  std::uint32_t pattern_bytes = 1024;       // one expression
  std::uint32_t pattern_states = 4096;      // one expression with its bounded repeats written out
  std::uint32_t patterns_per_field = 2000;  // of one host
  std::uint32_t patterns = 20'000;          // of a table
};

// Databases by what they were made of; lives as long as management. Forgets those that no table holds any more.
class DatabaseCache {
 public:
  DatabaseCache();
  ~DatabaseCache();
  DatabaseCache(const DatabaseCache&) = delete;
  DatabaseCache& operator=(const DatabaseCache&) = delete;
  std::size_t size() const;      // databases alive
  std::size_t compiled() const;  // compiled so far
  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

std::expected<Table, std::vector<Error>> compile(const spec::Spec& spec, DatabaseCache& cache,
                                                 const CompileLimits& limits = {});

}  // namespace sluice::route
