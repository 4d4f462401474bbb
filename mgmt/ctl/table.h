// table.h - rows of text in aligned columns, as a terminal shows them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::ctl {

class Table {
 public:
  enum class Align : std::uint8_t { left, right };
  struct Column {
    std::string title;
    Align align = Align::left;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // A cell for each column.
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.empty(); }
  // With a line of titles; nothing when there is no row. No blanks at the end of a line.
  std::string text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// "1234567" as "1,234,567".
std::string grouped(std::uint64_t number);
// "3d 4h", "2m 5s", "1.500s", "12ms".
std::string duration_text(std::uint64_t ms);

}  // namespace sluice::ctl
