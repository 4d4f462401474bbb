// pool.h - objects of one type in fixed memory, named by index and generation.
// The memory is taken once, at start; afterwards nothing allocates. A handle outlives its object harmlessly: find()
// misses once the slot was given back. One owner thread; a full pool is an outcome (nullptr), not an error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
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

// A T with such a member has its generation there, where finding it touches nothing else: of objects that have slept
// each cache line and each page is waited for. The pool alone writes it.
template <typename T>
concept HasGeneration = requires(T& object) { object.pool_generation += std::uint32_t{1}; };

struct NoTail {};

// `Tail` is what somebody else keeps of each slot, in the slot's last bytes: made with its first object, and never
// again.
template <typename T, typename Tail = NoTail>
class Pool {
 public:
  explicit Pool(std::uint32_t capacity)
      : slots_(static_cast<Slot*>(::operator new(sizeof(Slot) * capacity, std::align_val_t{alignof(Slot)}))),
        next_(new std::uint32_t[capacity]),
        capacity_(capacity) {
    if constexpr (!HasGeneration<T>) generations_.reset(new std::uint32_t[capacity]);
  }
  ~Pool() {
    for (std::uint32_t i = 0; i < touched_; ++i)
      if (live(i)) at(i)->~T();
    ::operator delete(slots_, std::align_val_t{alignof(Slot)});
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // A new T, or nullptr when the pool is full.
  template <typename... Args>
  T* make(Args&&... args) {
    // From generation 2 on: a handle of 0 bits, which nobody was given, never finds a slot.
    std::uint32_t index = free_, before = 2;
    if (index != Handle<T>::none) {
      free_ = next_[index];
      before = generation(index);
    } else if (touched_ < capacity_) {
      index = touched_++;
      if constexpr (!std::is_empty_v<Tail>) new (&slots_[index].tail) Tail{};
    } else {
      return nullptr;
    }
    T* object = new (&slots_[index]) T(std::forward<Args>(args)...);
    generation(index) = before + 1;  // odd: live
    ++size_;
    return object;
  }
  void free(T* object) {
    const std::uint32_t index = index_of(object);
    CHECK(live(index));
    const std::uint32_t before = generation(index);
    object->~T();
    generation(index) = before + 1;  // even: free
    next_[index] = free_;
    free_ = index;
    --size_;
  }
  // The object behind a handle, or nullptr when it is gone.
  T* find(Handle<T> handle) {
    if (handle.index >= touched_ || generation(handle.index) != handle.generation) return nullptr;
    return at(handle.index);
  }
  const T* find(Handle<T> handle) const { return const_cast<Pool*>(this)->find(handle); }
  Handle<T> handle(const T* object) const {
    const std::uint32_t index = index_of(object);
    return {index, generation(index)};
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
  // Asks for cache lines [from, to) of the object in a slot. Any index will do. (Always inline: a function that does
  // nothing but prefetch GCC takes for one without effect, and drops the call.)
  [[gnu::always_inline]] void prefetch(std::uint32_t index, unsigned from, unsigned to) const {
    if (index >= capacity_) return;
    const std::byte* object = slots_[index].bytes;
    for (unsigned line = from; line < to; ++line) __builtin_prefetch(object + std::size_t{64} * line, 1);
  }
  // Where slot 0's tail is, and how many bytes the next one is away.
  std::byte* first_tail() const { return reinterpret_cast<std::byte*>(&slots_->tail); }
  static constexpr std::size_t stride() { return sizeof(Slot); }
  bool live(std::uint32_t index) const { return index < touched_ && (generation(index) & 1); }
  std::uint32_t size() const { return size_; }
  std::uint32_t capacity() const { return capacity_; }
  bool full() const { return size_ == capacity_; }

  template <typename F>
  void each(F&& f) {
    for (std::uint32_t i = 0; i < touched_; ++i)
      if (live(i)) f(*at(i));
  }

 private:
  // With a tail from a cache line's begin on, so that the object lies in as few as it can.
  struct alignas(std::is_empty_v<Tail> ? alignof(T) : 64) Slot {
    std::byte bytes[sizeof(T)];
    [[no_unique_address]] Tail tail;
  };
  static_assert(std::is_trivially_destructible_v<Tail>);
  T* at(std::uint32_t index) const { return std::launder(reinterpret_cast<T*>(&slots_[index])); }
  // Of a slot that was touched; between two objects it stays in the slot's bytes.
  std::uint32_t& generation(std::uint32_t index) const {
    if constexpr (HasGeneration<T>) return at(index)->pool_generation;
    else return generations_[index];
  }

  Slot* slots_;
  std::unique_ptr<std::uint32_t[]> next_;         // of free slots
  std::unique_ptr<std::uint32_t[]> generations_;  // where T has none
  std::uint32_t capacity_;
  std::uint32_t touched_ = 0;  // slots from here on were never used
  std::uint32_t size_ = 0;
  std::uint32_t free_ = Handle<T>::none;
};

}  // namespace sluice
