// slots.h - small records of one type in fixed memory, linked by index. For lists that hang off a connection (ranges in
// flight, ranges out of order): no generation, because nobody outside the list names them. One owner thread.
#pragma once

#include <cstdint>
#include <memory>

#include "dataplane/base/check.h"

namespace sluice::tcp {

inline constexpr std::uint32_t no_slot = ~std::uint32_t{0};

// T has a member `std::uint32_t next`.
template <typename T>
class Slots {
 public:
  explicit Slots(std::uint32_t capacity) : items_(new T[capacity]), free_(capacity ? 0 : no_slot), left_(capacity) {
    for (std::uint32_t i = 0; i < capacity; ++i) items_[i].next = i + 1 < capacity ? i + 1 : no_slot;
  }
  // A slot whose fields are as the last user left them, or no_slot.
  std::uint32_t take() {
    const std::uint32_t index = free_;
    if (index == no_slot) return no_slot;
    free_ = items_[index].next;
    items_[index].next = no_slot;
    --left_;
    return index;
  }
  void give(std::uint32_t index) {
    items_[index].next = free_;
    free_ = index;
    ++left_;
  }
  T& operator[](std::uint32_t index) { return items_[index]; }
  const T& operator[](std::uint32_t index) const { return items_[index]; }
  std::uint32_t left() const { return left_; }

 private:
  std::unique_ptr<T[]> items_;
  std::uint32_t free_, left_;
};

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/stack_test.cc.
