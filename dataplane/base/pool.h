// pool.h - objects of one type in fixed memory, named by index and generation.
// The memory is taken once, at start; afterwards nothing allocates. A handle outlives its object harmlessly: find()
// misses once the slot was given back. One owner thread; a full pool is an outcome (nullptr), not an error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

#include "dataplane/base/check.h"

namespace sluice {

// Index and generation of a T in its pool. The default names nothing. 32 bits of each, so that it fits a register.
template <typename T>
struct Handle {
  static constexpr std::uint32_t none = ~std::uint32_t{0};
  std::uint32_t index = none;
  std::uint32_t generation = 0;

  constexpr bool operator==(const Handle&) const = default;
  constexpr explicit operator bool() const { return index != none; }
  constexpr std::uint64_t bits() const { return std::uint64_t{generation} << 32 | index; }
  static constexpr Handle from_bits(std::uint64_t bits) {
    return {static_cast<std::uint32_t>(bits), static_cast<std::uint32_t>(bits >> 32)};
  }
};

template <typename T>
class Pool {
 public:
  explicit Pool(std::uint32_t capacity)
      : slots_(static_cast<Slot*>(::operator new(sizeof(Slot) * capacity, std::align_val_t{alignof(Slot)}))),
        state_(new State[capacity]),
        capacity_(capacity) {
    // From generation 2 on: a handle of 0 bits, which nobody was given, never finds a slot.
    for (std::uint32_t i = 0; i < capacity; ++i) state_[i] = {2, i + 1 < capacity ? i + 1 : Handle<T>::none};
    if (capacity == 0) free_ = Handle<T>::none;
  }
  ~Pool() {
    for (std::uint32_t i = 0; i < capacity_; ++i)
      if (live(i)) at(i)->~T();
    ::operator delete(slots_, std::align_val_t{alignof(Slot)});
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // A new T, or nullptr when the pool is full.
  template <typename... Args>
  T* make(Args&&... args) {
    if (free_ == Handle<T>::none) return nullptr;
    const std::uint32_t index = free_;
    free_ = state_[index].next;
    ++state_[index].generation;  // odd: live
    ++size_;
    return new (&slots_[index]) T(std::forward<Args>(args)...);
  }
  void free(T* object) {
    const std::uint32_t index = index_of(object);
    CHECK(live(index));
    object->~T();
    ++state_[index].generation;  // even: free
    state_[index].next = free_;
    free_ = index;
    --size_;
  }
  // The object behind a handle, or nullptr when it is gone.
  T* find(Handle<T> handle) {
    if (handle.index >= capacity_ || state_[handle.index].generation != handle.generation) return nullptr;
    return at(handle.index);
  }
  const T* find(Handle<T> handle) const { return const_cast<Pool*>(this)->find(handle); }
  Handle<T> handle(const T* object) const {
    const std::uint32_t index = index_of(object);
    return {index, state_[index].generation};
  }
  // The object in a slot, which must be live.
  T& operator[](std::uint32_t index) {
    DCHECK(live(index));
    return *at(index);
  }
  std::uint32_t index_of(const T* object) const {
    const auto index = static_cast<std::size_t>(reinterpret_cast<const Slot*>(object) - slots_);
    DCHECK(index < capacity_);
    return static_cast<std::uint32_t>(index);
  }
  bool live(std::uint32_t index) const { return index < capacity_ && (state_[index].generation & 1); }
  std::uint32_t size() const { return size_; }
  std::uint32_t capacity() const { return capacity_; }
  bool full() const { return size_ == capacity_; }

  template <typename F>
  void each(F&& f) {
    for (std::uint32_t i = 0; i < capacity_; ++i)
      if (live(i)) f(*at(i));
  }

 private:
  struct alignas(alignof(T)) Slot {
    std::byte bytes[sizeof(T)];
  };
  struct State {
    std::uint32_t generation;
    std::uint32_t next;
  };
  T* at(std::uint32_t index) { return std::launder(reinterpret_cast<T*>(&slots_[index])); }

  Slot* slots_;
  std::unique_ptr<State[]> state_;
  std::uint32_t capacity_;
  std::uint32_t size_ = 0;
  std::uint32_t free_ = 0;
};

}  // namespace sluice
