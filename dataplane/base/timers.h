// timers.h - one deadline per object, for up to millions of objects: a hierarchical timer wheel over object indices.
// arm, re-arm and cancel are O(1) and lazy both ways. Re-arming later only writes the deadline: the entry moves when
// its old place comes up, which is what a TCP connection does on every ACK. Re-arming earlier leaves the entry where it
// is and puts a spare in the earlier place, one of few: to take the entry out of its list would touch its neighbours,
// which among a million sleepers are two lines from far away. A spare goes when the entry's own place will do again, so
// that it does not come up for nothing when its object is far away. Never early; late by less than one tick when
// advance() is called often enough. Deterministic: the same calls give the same order. Memory is taken once: 32 bytes
// an index, beside the object that the index names where its owner wishes (a pool's tail), so that whoever touches the
// object has no second page to wait for. One owner thread; the time is an argument.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "dataplane/base/check.h"
#include "dataplane/base/pool.h"
#include "dataplane/base/units.h"

namespace sluice {

// A place in a list of the wheel.
struct TimerNode {
  static constexpr std::uint32_t none = ~std::uint32_t{0};
  static constexpr std::uint16_t unlinked = 0xffff;

  bool linked() const { return slot != unlinked; }

  std::uint32_t next = none, previous = none;
  std::uint64_t tick : 48 = 0;  // that it stands for
  std::uint64_t slot : 16 = unlinked;
};

// What the wheel keeps of an index; the wheel's alone.
struct alignas(32) TimerEntry : TimerNode {
  Nanos deadline = Nanos::never();
  std::uint32_t spare = none;  // stands in an earlier place than the entry
};
static_assert(sizeof(TimerEntry) == 32);

// The entries of indices 0 .. count - 1 in an array of larger things: the first, and how many bytes the next is away.
struct TimerPlaces {
  std::byte* first = nullptr;
  std::size_t stride = 0;
  std::uint32_t count = 0;
};

// The tails of a pool.
template <typename T>
TimerPlaces timer_places(const Pool<T, TimerEntry>& pool) {
  return {pool.first_tail(), pool.stride(), pool.capacity()};
}

class TimerWheel {
 public:
  // Indices 0 .. capacity - 1. `tick` is the granularity; `start` the earliest time that will ever be asked for.
  // `places`: the entries that stand beside objects of the owner's. They are there before their index is armed, and
  // for good.
  TimerWheel(std::uint32_t capacity, Nanos tick, Nanos start, const TimerPlaces& places = {});

  // Sets the index's only deadline. One that has passed fires at the next tick. Nanos::never() cancels.
  void arm(std::uint32_t index, Nanos deadline) {
    DCHECK(index < capacity_);
    TimerEntry& entry = this->entry(index);
    armed_ += (deadline != Nanos::never()) - (entry.deadline != Nanos::never());
    entry.deadline = deadline;
    const std::uint64_t tick = place_of(deadline);
    if (entry.spare != none) {
      const std::uint64_t at = node(entry.spare).tick;
      // Later, and nothing but the spare comes up in time: it moves when it does.
      if (tick >= at && tick != nowhere && !(entry.linked() && entry.tick <= tick)) return;
      unlink(entry.spare);
      if (tick < at) return link(entry.spare, tick);
      give_back(std::exchange(entry.spare, none));
    } else if (tick != nowhere && !entry.linked()) {
      link(index, tick);
    } else if (tick < entry.tick) {
      if (free_ == none) {
        unlink(index);
        return link(index, tick);
      }
      entry.spare = free_;
      free_ = node(free_).next;
      spares_[entry.spare - capacity_].index = index;
      link(entry.spare, tick);
    }
  }
  // Asks for what arm() touches of an index. (Always inline: a function that does nothing but prefetch GCC takes for
  // one without effect, and drops the call.)
  [[gnu::always_inline]] void prefetch(std::uint32_t index) const { __builtin_prefetch(&entry(index), 1); }
  // Arms only if that makes the deadline earlier.
  void arm_earlier(std::uint32_t index, Nanos deadline) {
    if (deadline < entry(index).deadline) arm(index, deadline);
  }
  void cancel(std::uint32_t index) { arm(index, Nanos::never()); }
  bool armed(std::uint32_t index) const { return entry(index).deadline != Nanos::never(); }
  Nanos deadline(std::uint32_t index) const { return entry(index).deadline; }
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
      // Spares are warm and name entries that are not: these are asked for some nodes ahead. Where f moves a node the
      // scout may go astray, and asks for what nobody needs.
      std::uint32_t scout = heads_[0][slot];
      unsigned lead = 0;
      while (heads_[0][slot] != none) {
        for (; lead < asked_ahead && scout != none; ++lead, scout = node(scout).next) prefetch(index_of(scout));
        if (lead) --lead;
        if (budget == 0) {
          floor_ = current_;
          return fired;
        }
        --budget;
        const std::uint32_t id = heads_[0][slot], index = index_of(id);
        TimerEntry& entry = take_out(id);
        if (entry.deadline == Nanos::never() || tick_of(entry.deadline) > current_) {
          place_again(id, entry);
          continue;
        }
        give_back(id);
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
  static constexpr std::uint32_t none = TimerNode::none;
  static constexpr std::uint16_t unlinked = TimerNode::unlinked;
  static constexpr std::uint64_t nowhere = ~std::uint64_t{0};
  static constexpr unsigned asked_ahead = 12;

  // Nodes' ids: the entries' own, then the spares.
  struct Spare : TimerNode {
    std::uint32_t index = none;
  };

  // Always inline, for prefetch().
  [[gnu::always_inline]] TimerEntry& entry(std::uint32_t index) const {
    if (index < places_.count) return *reinterpret_cast<TimerEntry*>(places_.first + places_.stride * index);
    return entries_[index - places_.count];
  }
  std::uint64_t floor_tick(Nanos at) const {
    return at <= start_ ? 0 : static_cast<std::uint64_t>((at - start_) / tick_);
  }
  std::uint64_t tick_of(Nanos deadline) const {
    if (deadline <= start_) return 0;
    const auto tick = static_cast<std::uint64_t>((deadline - start_).ns - 1) / static_cast<std::uint64_t>(tick_.ns) + 1;
    return tick < last_tick ? tick : last_tick;
  }
  TimerNode& node(std::uint32_t id) {
    return id < capacity_ ? static_cast<TimerNode&>(entry(id)) : spares_[id - capacity_];
  }
  std::uint32_t index_of(std::uint32_t id) const { return id < capacity_ ? id : spares_[id - capacity_].index; }
  // The tick that a deadline asks for now.
  std::uint64_t place_of(Nanos deadline) const {
    return deadline == Nanos::never() ? nowhere : std::max(tick_of(deadline), floor_);
  }
  // `tick` is not below floor_.
  void link(std::uint32_t id, std::uint64_t tick) {
    TimerNode& n = node(id);
    // The level is that of the highest group of bits in which the tick differs from the current one.
    const unsigned level = (63 - std::countl_zero((tick ^ current_) | 1)) / bits;
    const unsigned slot = tick >> (level * bits) & (slots - 1);
    n.tick = tick;
    n.slot = static_cast<std::uint16_t>(level * slots + slot);
    n.previous = none;
    n.next = heads_[level][slot];
    if (n.next != none) node(n.next).previous = id;
    heads_[level][slot] = id;
    occupied_[level] |= std::uint64_t{1} << slot;
  }
  void unlink(std::uint32_t id) {
    TimerNode& n = node(id);
    const unsigned level = n.slot / slots, slot = n.slot % slots;
    if (n.next != none) node(n.next).previous = n.previous;
    if (n.previous != none) {
      node(n.previous).next = n.next;
    } else {
      heads_[level][slot] = n.next;
      if (n.next == none) occupied_[level] &= ~(std::uint64_t{1} << slot);
    }
    n.slot = unlinked;
  }
  // Takes a node whose place came up out of its list.
  TimerEntry& take_out(std::uint32_t id) {
    TimerEntry& entry = this->entry(index_of(id));
    unlink(id);
    if (id >= capacity_) entry.spare = none;
    return entry;
  }
  void give_back(std::uint32_t id) {
    if (id < capacity_) return;
    node(id).next = free_;
    free_ = id;
  }
  // A node that was taken out goes where the deadline is now, unless the index's other one stands for it already.
  void place_again(std::uint32_t id, TimerEntry& entry) {
    const std::uint64_t tick = place_of(entry.deadline);
    if (tick == nowhere || (id >= capacity_ ? entry.linked() && entry.tick <= tick
                                            : entry.spare != none && node(entry.spare).tick <= tick))
      return give_back(id);
    if (id >= capacity_ && entry.linked()) {
      entry.spare = id;
      link(id, tick);
    } else {
      link(id >= capacity_ ? spares_[id - capacity_].index : id, tick);
      give_back(id);
    }
  }
  // The first tick from current_ on at which there is something to do; above last_tick when there is nothing.
  std::uint64_t next_tick() const;
  // Moves what the higher levels hold for the current tick down. False when the budget ran out.
  bool cascade(unsigned& budget);

  TimerPlaces places_;
  std::unique_ptr<TimerEntry[]> entries_;  // of the indices that have no place of the owner's
  std::unique_ptr<Spare[]> spares_;
  std::array<std::array<std::uint32_t, slots>, levels> heads_;
  std::array<std::uint64_t, levels> occupied_{};
  std::uint64_t current_ = 0;  // the tick that is processed next
  std::uint64_t floor_ = 0;    // the earliest tick that an entry may be placed for
  Nanos tick_, start_;
  std::uint32_t capacity_;
  std::uint32_t free_ = none;  // spares
  std::uint32_t armed_ = 0;
};

}  // namespace sluice
