#include "dataplane/base/timers.h"

namespace sluice {

TimerWheel::TimerWheel(std::uint32_t capacity, Nanos tick, Nanos start, const TimerPlaces& places)
    : places_(places),
      entries_(std::make_unique<TimerEntry[]>(capacity - places.count)),
      tick_(tick),
      start_(start),
      capacity_(capacity) {
  CHECK(tick.ns > 0 && places.count <= capacity);
  // As many as may be awake at once among those that sleep; without one, an entry is moved itself.
  const std::uint32_t count = std::clamp(capacity / 8, 1u, 65'536u);
  CHECK(capacity < none - count);
  spares_ = std::make_unique<Spare[]>(count);
  for (std::uint32_t i = count; i > 0; --i) give_back(capacity + i - 1);
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
      const std::uint32_t id = heads_[level][slot];
      if (id < capacity_) {
        place_again(id, take_out(id));
      } else {  // a spare keeps to its time: its entry is far away
        unlink(id);
        link(id, std::max(std::uint64_t{node(id).tick}, floor_));
      }
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
