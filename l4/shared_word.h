// shared_word.h - a word that one worker writes and any thread may read: relaxed, no read-modify-write, plain moves on
// x86.
#pragma once

#include <atomic>

namespace sluice {

template <typename T>
class SharedWord {
 public:
  T get() const { return std::atomic_ref<T>(const_cast<T&>(value_)).load(std::memory_order_relaxed); }
  void set(T value) { std::atomic_ref<T>(value_).store(value, std::memory_order_relaxed); }
  void add(T n) { set(static_cast<T>(get() + n)); }
  void sub(T n) { set(static_cast<T>(get() - n)); }

 private:
  alignas(std::atomic_ref<T>::required_alignment) T value_{};
};

}  // namespace sluice

// Tested in tests/unit/l4/forward_test.cc.
