// timers.h - one deadline per object, for up to millions of objects: a hierarchical timer wheel over object indices.
// arm, re-arm and cancel are O(1); re-arming later than before only writes the deadline (the entry moves when its old
// place comes up), which is what a TCP connection does on every ACK. Never early; late by less than one tick when
// advance() is called often enough. Deterministic: the same calls give the same order. Memory is taken once (24 bytes
// an index). One owner thread; the time is an argument.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <memory>

#include "dataplane/base/check.h"
#include "dataplane/base/units.h"

namespace sluice {

class TimerWheel {
 public:
  // Indices 0 .. capacity - 1. `tick` is the granularity; `start` the earliest time that will ever be asked for.
  TimerWheel(std::uint32_t capacity, Nanos tick, Nanos start);

  // Sets the index's only deadline. One that has passed fires at the next tick. Nanos::never() cancels.
  void arm(std::uint32_t index, Nanos deadline) {
    DCHECK(index < capacity_);
    Entry& entry = entries_[index];
    armed_ += (deadline != Nanos::never()) - (entry.deadline != Nanos::never());
    entry.deadline = deadline;
    const bool linked = entry.slot != unlinked;
    if (deadline == Nanos::never() || (linked && tick_of(deadline) >= entry.placed)) return;
    if (linked) unlink(index);
    place(index);
  }
  // Arms only if that makes the deadline earlier.
  void arm_earlier(std::uint32_t index, Nanos deadline) {
    if (deadline < entries_[index].deadline) arm(index, deadline);
  }
  void cancel(std::uint32_t index) { arm(index, Nanos::never()); }
  bool armed(std::uint32_t index) const { return entries_[index].deadline != Nanos::never(); }
  Nanos deadline(std::uint32_t index) const { return entries_[index].deadline; }
  std::uint32_t armed_count() const { return armed_; }

  // Calls f(index) for indices whose deadline has passed; they are no longer armed then, and f may arm or cancel any.
  // Touches at most `budget` entries (fired or moved); what is left waits for the next call. Returns how many fired.
  template <typename F>
  unsigned advance(Nanos now, unsigned budget, F&& f) {
    const std::uint64_t now_tick = floor_tick(now);
    unsigned fired = 0;
    while (current_ <= now_tick) {
      const std::uint64_t next = next_tick();
      if (next > now_tick) {
        current_ = now_tick + 1;
        break;
      }
      floor_ = current_ = next;
      if (!cascade(budget)) return fired;
      const unsigned slot = current_ % slots;
      floor_ = current_ + 1;  // what f arms waits for the next tick at least
      while (heads_[0][slot] != none) {
        if (budget == 0) {
          floor_ = current_;
          return fired;
        }
        --budget;
        const std::uint32_t index = heads_[0][slot];
        Entry& entry = entries_[index];
        unlink(index);
        if (entry.deadline == Nanos::never()) continue;
        if (tick_of(entry.deadline) > current_) {
          place(index);
          continue;
        }
        entry.deadline = Nanos::never();
        --armed_;
        ++fired;
        f(index);
      }
      ++current_;
    }
    floor_ = current_;
    return fired;
  }
  // No deadline passes before this time (a bound: lazily re-armed entries may be later). never() when nothing is armed.
  Nanos next() const;

 private:
  static constexpr unsigned levels = 8, bits = 6, slots = 1 << bits;  // 2^48 ticks
  static constexpr std::uint64_t last_tick = (std::uint64_t{1} << (levels * bits)) - 1;
  static constexpr std::uint32_t none = ~std::uint32_t{0};
  static constexpr std::uint16_t unlinked = 0xffff;

  struct Entry {
    Nanos deadline = Nanos::never();
    std::uint32_t next = none, previous = none;
    std::uint64_t placed : 48 = 0;  // the tick it was last placed for
    std::uint64_t slot : 16 = unlinked;
  };
  static_assert(sizeof(Entry) == 24);

  std::uint64_t floor_tick(Nanos at) const {
    return at <= start_ ? 0 : static_cast<std::uint64_t>((at - start_) / tick_);
  }
  std::uint64_t tick_of(Nanos deadline) const {
    if (deadline <= start_) return 0;
    const auto tick = static_cast<std::uint64_t>((deadline - start_).ns - 1) / static_cast<std::uint64_t>(tick_.ns) + 1;
    return tick < last_tick ? tick : last_tick;
  }
  void place(std::uint32_t index) {
    Entry& entry = entries_[index];
    std::uint64_t tick = tick_of(entry.deadline);
    if (tick < floor_) tick = floor_;
    // The level is that of the highest group of bits in which the tick differs from the current one.
    const unsigned level = (63 - std::countl_zero((tick ^ current_) | 1)) / bits;
    const unsigned slot = tick >> (level * bits) & (slots - 1);
    entry.placed = tick;
    entry.slot = static_cast<std::uint16_t>(level * slots + slot);
    entry.previous = none;
    entry.next = heads_[level][slot];
    if (entry.next != none) entries_[entry.next].previous = index;
    heads_[level][slot] = index;
    occupied_[level] |= std::uint64_t{1} << slot;
  }
  void unlink(std::uint32_t index) {
    Entry& entry = entries_[index];
    const unsigned level = entry.slot / slots, slot = entry.slot % slots;
    if (entry.next != none) entries_[entry.next].previous = entry.previous;
    if (entry.previous != none) {
      entries_[entry.previous].next = entry.next;
    } else {
      heads_[level][slot] = entry.next;
      if (entry.next == none) occupied_[level] &= ~(std::uint64_t{1} << slot);
    }
    entry.slot = unlinked;
  }
  // The first tick from current_ on at which there is something to do; above last_tick when there is nothing.
  std::uint64_t next_tick() const;
  // Moves what the higher levels hold for the current tick down. False when the budget ran out.
  bool cascade(unsigned& budget);

  std::unique_ptr<Entry[]> entries_;
  std::array<std::array<std::uint32_t, slots>, levels> heads_;
  std::array<std::uint64_t, levels> occupied_{};
  std::uint64_t current_ = 0;  // the tick that is processed next
  std::uint64_t floor_ = 0;    // the earliest tick that an entry may be placed for
  Nanos tick_, start_;
  std::uint32_t capacity_;
  std::uint32_t armed_ = 0;
};

}  // namespace sluice
