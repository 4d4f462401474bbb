// ring.h - a bounded queue between exactly two threads: one pushes, one pops. Lock-free, no allocation after
// construction. Each side keeps a copy of the other's index, so that the shared cache line is read once a burst. A full
// ring is an outcome (push says how many it took), never a wait. T must be movable and default-constructible.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <memory>
#include <span>
#include <utility>

#include "dataplane/base/check.h"

namespace sluice {

template <typename T>
class SpscRing {
 public:
  // Room for at least `capacity` items, rounded up to a power of two.
  explicit SpscRing(std::size_t capacity)
      : mask_(std::bit_ceil(capacity ? capacity : 1) - 1), slots_(std::make_unique<T[]>(mask_ + 1)) {}
  SpscRing(const SpscRing&) = delete;
  SpscRing& operator=(const SpscRing&) = delete;

  // Producer: moves items from the front of `in`; returns how many were taken. The rest still belongs to the caller.
  std::size_t push(std::span<T> in) {
    const std::size_t tail = tail_.load(std::memory_order_relaxed);
    std::size_t room = mask_ + 1 - (tail - head_seen_);
    if (room < in.size()) {
      head_seen_ = head_.load(std::memory_order_acquire);
      room = mask_ + 1 - (tail - head_seen_);
    }
    const std::size_t n = in.size() < room ? in.size() : room;
    for (std::size_t i = 0; i < n; ++i) slots_[(tail + i) & mask_] = std::move(in[i]);
    if (n) tail_.store(tail + n, std::memory_order_release);
    return n;
  }
  // Producer: false, and the item untouched, when the ring is full.
  bool push(T&& item) { return push(std::span<T>(&item, 1)) == 1; }
  bool push(const T& item)
    requires std::is_copy_constructible_v<T>
  {
    T copy = item;
    return push(std::span<T>(&copy, 1)) == 1;
  }

  // Consumer: moves up to out.size() items out, in the order in which they were pushed; returns how many.
  std::size_t pop(std::span<T> out) {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    if (tail_seen_ - head < out.size()) tail_seen_ = tail_.load(std::memory_order_acquire);
    const std::size_t there = tail_seen_ - head, n = out.size() < there ? out.size() : there;
    for (std::size_t i = 0; i < n; ++i) out[i] = std::move(slots_[(head + i) & mask_]);
    if (n) head_.store(head + n, std::memory_order_release);
    return n;
  }
  bool pop(T& out) { return pop(std::span<T>(&out, 1)) == 1; }

  // Either side, or anyone for statistics: a moment's view.
  std::size_t size() const {
    const std::size_t head = head_.load(std::memory_order_acquire);
    const std::size_t tail = tail_.load(std::memory_order_acquire);
    return tail - head > mask_ + 1 ? 0 : tail - head;
  }
  bool empty() const { return size() == 0; }
  std::size_t capacity() const { return mask_ + 1; }

 private:
  const std::size_t mask_;
  const std::unique_ptr<T[]> slots_;
  alignas(64) std::atomic<std::size_t> tail_{0};  // producer's line
  std::size_t head_seen_ = 0;
  alignas(64) std::atomic<std::size_t> head_{0};  // consumer's line
  std::size_t tail_seen_ = 0;
};

}  // namespace sluice
