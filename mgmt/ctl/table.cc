#include "mgmt/ctl/table.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::ctl {

std::string Table::text() const {
  if (rows_.empty()) return {};
  std::vector<std::size_t> widths;
  for (const Column& column : columns_) widths.push_back(column.title.size());
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < widths.size(); ++i) widths[i] = std::max(widths[i], row.at(i).size());
  std::string out;
  const auto line = [&](auto cell_of) {
    std::string one;
    for (std::size_t i = 0; i < widths.size(); ++i) {
      if (i) one += "  ";
      const std::string& cell = cell_of(i);
      one += columns_[i].align == Align::right ? fmt::format("{:>{}}", cell, widths[i])
                                               : fmt::format("{:<{}}", cell, widths[i]);
    }
    one.erase(one.find_last_not_of(' ') + 1);
    out += one + '\n';
  };
  line([&](std::size_t i) -> const std::string& { return columns_[i].title; });
  for (const auto& row : rows_) line([&](std::size_t i) -> const std::string& { return row[i]; });
  return out;
}

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, 1, ',');
  return digits;
}

std::string duration_text(std::uint64_t ms) {
  const std::uint64_t s = ms / 1000, m = s / 60, h = m / 60, d = h / 24;
  if (d) return fmt::format("{}d {}h", d, h % 24);
  if (h) return fmt::format("{}h {}m", h, m % 60);
  if (m) return fmt::format("{}m {}s", m, s % 60);
  if (s) return fmt::format("{}.{:03}s", s, ms % 1000);
  return fmt::format("{}ms", ms);
}

}  // namespace sluice::ctl
