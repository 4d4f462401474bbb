#include "dataplane/base/timers.h"

namespace sluice {

TimerWheel::TimerWheel(std::uint32_t capacity, Nanos tick, Nanos start)
    : entries_(std::make_unique<Entry[]>(capacity)), tick_(tick), start_(start), capacity_(capacity) {
  CHECK(tick.ns > 0);
  for (auto& level : heads_) level.fill(none);
}

std::uint64_t TimerWheel::next_tick() const {
  // A higher level's slot of the current tick is occupied only while its entries wait to be moved down: they come
  // first.
  for (unsigned level = 1; level < levels; ++level)
    if (occupied_[level] >> (current_ >> (level * bits) & (slots - 1)) & 1) return current_;
  // Else slots of a lower level all lie before those of a higher one.
  for (unsigned level = 0; level < levels; ++level) {
    const unsigned shift = level * bits;
    const std::uint64_t ahead = occupied_[level] >> (current_ >> shift & (slots - 1));
    if (!ahead) continue;
    return ((current_ >> shift) + std::countr_zero(ahead)) << shift;
  }
  return last_tick + 1;
}

bool TimerWheel::cascade(unsigned& budget) {
  for (unsigned level = levels - 1; level > 0; --level) {
    const unsigned slot = current_ >> (level * bits) & (slots - 1);
    while (heads_[level][slot] != none) {
      if (budget == 0) return false;
      --budget;
      const std::uint32_t index = heads_[level][slot];
      unlink(index);
      if (entries_[index].deadline != Nanos::never()) place(index);
    }
  }
  return true;
}

Nanos TimerWheel::next() const {
  if (armed_ == 0) return Nanos::never();
  const std::uint64_t tick = next_tick();
  return tick > last_tick ? Nanos::never() : start_ + tick_ * static_cast<std::int64_t>(tick);
}

}  // namespace sluice
