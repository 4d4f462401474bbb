#include "l7/http/field.h"

#include "dataplane/base/bytes.h"
#include "l7/http/chars.h"

namespace sluice::http {

namespace {

constexpr std::array<std::string_view, known_count> names{"",
#define X(name, text) text,
                                                          SLUICE_KNOWN_FIELDS(X)
#undef X
};

// Length, first, middle and last character tell all known names apart, under a multiplier found at compile time.
constexpr std::uint32_t slot(std::string_view name, std::uint32_t multiplier) {
  const auto at = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(name[i]) | 0x20); };
  const std::uint32_t mix =
      static_cast<std::uint32_t>(name.size()) << 24 | at(0) << 16 | at(name.size() / 2) << 8 | at(name.size() - 1);
  return mix * multiplier >> 24;
}

struct PerfectHash {
  std::uint32_t multiplier = 0;
  std::array<std::uint8_t, 256> index{};
};
constexpr PerfectHash make_perfect_hash() {
  for (std::uint32_t multiplier = 0x9e3779b1;; multiplier += 0x61c88646) {
    PerfectHash hash;
    hash.multiplier = multiplier;
    bool good = true;
    for (std::size_t i = 1; good && i < known_count; ++i) {
      auto& cell = hash.index[slot(names[i], multiplier)];
      good = cell == 0;
      cell = static_cast<std::uint8_t>(i);
    }
    if (good) return hash;
  }
}
constexpr PerfectHash perfect_hash = make_perfect_hash();

// Whether the token `name` is the lower-case `known`, of the same size. Setting bit 5 maps no other token character
// than the capital onto a small letter, a digit or '-', which is all that known names have.
bool is_known(const char* name, const char* known, std::size_t size) {
  constexpr std::uint64_t bit5 = 0x2020202020202020;
  if (size >= 8) {
    for (std::size_t i = 0; i + 8 < size; i += 8)
      if ((load<std::uint64_t>(name + i) | bit5) != load<std::uint64_t>(known + i)) return false;
    return (load<std::uint64_t>(name + size - 8) | bit5) == load<std::uint64_t>(known + size - 8);
  }
  if (size >= 4) {
    constexpr auto half = static_cast<std::uint32_t>(bit5);
    return (load<std::uint32_t>(name) | half) == load<std::uint32_t>(known) &&
           (load<std::uint32_t>(name + size - 4) | half) == load<std::uint32_t>(known + size - 4);
  }
  for (std::size_t i = 0; i < size; ++i)
    if ((name[i] | 0x20) != known[i]) return false;
  return true;
}

}  // namespace

Known known_field(std::string_view name) {
  if (name.empty()) return Known::other;
  const std::uint8_t index = perfect_hash.index[slot(name, perfect_hash.multiplier)];
  const std::string_view known = names[index];
  return known.size() == name.size() && is_known(name.data(), known.data(), name.size()) ? static_cast<Known>(index)
                                                                                         : Known::other;
}

std::string_view known_text(Known name) { return names[static_cast<std::size_t>(name)]; }

bool same_name(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (lower(a[i]) != lower(b[i])) return false;
  return true;
}

bool list_has(std::string_view list, std::string_view element) {
  while (list.size() >= element.size() && !list.empty()) {
    const std::size_t comma = list.find(',');
    std::string_view item = list.substr(0, comma);
    while (!item.empty() && (item.front() == ' ' || item.front() == '\t')) item.remove_prefix(1);
    while (!item.empty() && (item.back() == ' ' || item.back() == '\t')) item.remove_suffix(1);
    if (same_name(item, element)) return true;
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return false;
}

}  // namespace sluice::http
