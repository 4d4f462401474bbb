// parts.h - what a Table is made of: flat arrays that refer to each other by index, and text kept in an arena.
// Written by compile.cc, read by table.cc, by nobody else.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/hash.h"
#include "l7/route/regex.h"
#include "l7/route/table.h"

namespace sluice::route {

inline constexpr std::uint32_t absent = ~std::uint32_t{0};

// Text that lives as long as the table.
class Arena {
 public:
  std::string_view keep(std::string_view text) {
    if (text.empty()) return {};
    if (text.size() > left_) {
      const std::size_t size = std::max(block_size, text.size());
      blocks_.push_back(std::make_unique<char[]>(size));
      next_ = blocks_.back().get();
      left_ = size;
      bytes_ += size;
    }
    std::memcpy(next_, text.data(), text.size());
    const std::string_view kept{next_, text.size()};
    next_ += text.size();
    left_ -= text.size();
    return kept;
  }
  std::size_t bytes() const { return bytes_; }

 private:
  static constexpr std::size_t block_size = 64 * 1024;
  std::vector<std::unique_ptr<char[]>> blocks_;
  char* next_ = nullptr;
  std::size_t left_ = 0, bytes_ = 0;
};

// Open addressing over indices of an array of items that keep their own hash and key; at most half full.
template <typename Item>
class Index {
 public:
  void build(const std::vector<Item>& items) {
    slots_.assign(std::bit_ceil(items.size() * 2 + 1), absent);
    for (std::uint32_t i = 0; i < items.size(); ++i) {
      std::size_t at = items[i].hash & (slots_.size() - 1);
      while (slots_[at] != absent) at = (at + 1) & (slots_.size() - 1);
      slots_[at] = i;
    }
  }
  template <typename Same>
  const Item* find(const std::vector<Item>& items, std::uint32_t hash, Same&& same) const {
    for (std::size_t at = hash & (slots_.size() - 1); slots_[at] != absent; at = (at + 1) & (slots_.size() - 1))
      if (const Item& item = items[slots_[at]]; item.hash == hash && same(item)) return &item;
    return nullptr;
  }
  std::size_t bytes() const { return slots_.size() * sizeof(std::uint32_t); }

 private:
  std::vector<std::uint32_t> slots_{absent};
};

inline std::uint32_t hash_text(std::string_view text, std::uint32_t of) {
  // The CRC alone is linear; its high bits are folded in so that neighbouring keys do not share slots.
  const std::uint32_t crc = crc32c(bytes(text), of * 0x9e3779b1u);
  return (crc ^ crc >> 15) * 0x85ebca6bu;
}

struct Range {
  std::uint32_t first = 0, count = 0;
};

// One header or query match.
struct Condition {
  std::string_view name, value;
  std::uint32_t field = absent;  // of the host, when a regex
  std::uint32_t bit = 0;         // in that field's bits
  http::Known known = http::Known::other;
  spec::ValueMatch::Kind kind = spec::ValueMatch::Kind::present;
  bool invert = false;
  bool query = false;
};

// What a route asks beyond its path.
struct Variant {
  std::uint32_t rank;  // place in the host's precedence
  std::uint32_t route;
  std::string_view method;  // empty: any
  Range conditions;
};

// The regular expressions of one host over one field: the path, a header's or a query parameter's value.
struct RegexField {
  enum class Of : std::uint8_t { path, header, query };
  Of of;
  std::shared_ptr<const Database> database;
  std::uint32_t first_word = 0;  // in Scratch::matched_
};

struct ExactPath {
  std::uint32_t hash, host;
  std::string_view path;
  Range variants;
};

// A segment of a prefix, below its parent.
struct Node {
  std::uint32_t hash, parent;
  std::string_view segment;
  std::uint32_t up = absent;  // nearest node above that has routes
  Range variants;
};

struct Host {
  std::uint32_t id;
  std::uint32_t root = absent;  // node of "/", when the host has prefixes
  bool exact_paths = false;
  std::uint32_t path_field = absent;  // among its regex fields
  Range fields;
  Range path_patterns;  // per pattern of the path's set, in pattern_variants
};

// A host name, or the part behind "*." of a wildcard.
struct HostName {
  std::uint32_t hash;
  std::string_view name;
  std::uint32_t host;
};

struct TableParts {
  Arena arena;
  std::vector<Route> routes;
  std::vector<ClusterWeight> clusters;
  std::deque<RouteExtras> extras;
  std::deque<std::vector<http::FieldEdit>> edits;

  std::vector<Host> hosts;
  std::vector<HostName> names, suffixes;
  Index<HostName> name_index, suffix_index;
  std::uint32_t any_host = absent;

  std::vector<Variant> variants;
  std::vector<Condition> conditions;
  std::vector<ExactPath> exact;
  Index<ExactPath> exact_index;
  std::vector<Node> nodes;
  Index<Node> node_index;
  std::vector<RegexField> fields;
  std::vector<Range> pattern_variants;
  std::uint32_t most_words = 0;  // of one host
  std::uint32_t most_fields = 0;
};

// The segment of a path at `at` (just behind a slash), and where the next one is.
inline std::string_view segment_at(std::string_view path, std::size_t at) {
  const std::size_t slash = path.find('/', at);
  return path.substr(at, slash == std::string_view::npos ? slash : slash - at);
}

}  // namespace sluice::route

// Tested in tests/unit/l7/route/table_test.cc.
