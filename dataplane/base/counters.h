// counters.h - every counter of a worker: its enum, name, unit and help, in one list.
// Metrics, `sluicectl stats` and docs/counters.md are made from this list. A block is written by one worker and read by
// anyone: plain relaxed stores, no atomic read-modify-write. What happens to a named object (listener, cluster, ...) is
// counted in l7/stats.h by the object's stable id; here stands what happens to a worker.
//
// X(enumerator, "unit", "help"). A drop's enumerator starts with drop_ and its help says why a packet dies there.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "dataplane/base/counters.list.h"

namespace sluice {

enum class Counter : std::uint16_t {
#define X(name, unit, help) name,
  SLUICE_COUNTERS(X)
#undef X
      count_
};
inline constexpr std::size_t counter_count = static_cast<std::size_t>(Counter::count_);

struct CounterInfo {
  std::string_view name, unit, help;
};
inline constexpr std::array<CounterInfo, counter_count> counter_info{{
#define X(name, unit, help) {#name, unit, help},
    SLUICE_COUNTERS(X)
#undef X
}};

// The counters of one worker. One writer.
class alignas(64) Counters {
 public:
  void add(Counter counter, std::uint64_t n = 1) {
    auto& cell = cells_[static_cast<std::size_t>(counter)];
    cell.store(cell.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  // For gauges: counters that go down as well.
  void sub(Counter counter, std::uint64_t n = 1) { add(counter, ~n + 1); }
  void set(Counter counter, std::uint64_t n) {
    cells_[static_cast<std::size_t>(counter)].store(n, std::memory_order_relaxed);
  }
  std::uint64_t get(Counter counter) const {
    return cells_[static_cast<std::size_t>(counter)].load(std::memory_order_relaxed);
  }

 private:
  std::array<std::atomic<std::uint64_t>, counter_count> cells_{};
};

}  // namespace sluice
