// path.h - where in a policy something stands: "listeners[2].tls.certificates[0]".
// A Path lives on the stack of the code that walks the policy and costs nothing until a fault asks for its text.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice::mgmt {

class Path {
 public:
  Path() = default;
  // A field of the policy itself.
  explicit Path(std::string_view field) : field_(field) {}

  // The result refers to *this, which must outlive it.
  Path operator/(std::string_view field) const { return {this, field, none}; }
  Path operator[](std::size_t index) const { return {this, {}, index}; }

  std::string text() const {
    std::string out = parent_ ? parent_->text() : std::string{};
    if (index_ != none) return out + '[' + std::to_string(index_) + ']';
    if (!out.empty() && !field_.empty()) out += '.';
    return out += field_;
  }

 private:
  static constexpr std::size_t none = ~std::size_t{0};
  Path(const Path* parent, std::string_view field, std::size_t index) : parent_(parent), field_(field), index_(index) {}

  const Path* parent_ = nullptr;
  std::string_view field_;
  std::size_t index_ = none;
};

}  // namespace sluice::mgmt

// Tested in tests/unit/mgmt/validate_test.cc.
