// time_wait.h - connections that closed first wait here for 2 x MSL: 64 bytes each, bounded, the oldest recycled when
// full. All wait equally long, so the list is in order of expiry and needs no timers. One owner thread.
#pragma once

#include "dataplane/base/units.h"
#include "l4/tcp/key.h"
#include "l4/tcp/seq.h"
#include "l4/tcp/slots.h"

namespace sluice::tcp {

struct TimeWait {
  Key key;
  Seq snd_nxt, rcv_nxt;
  std::uint32_t ts_recent;      // what it was when we last heard
  std::uint32_t until_ms : 31;  // milliseconds of our clock, modulo 2^31
  std::uint32_t timestamps : 1;
  std::uint32_t previous, next;
};
static_assert(sizeof(TimeWait) == 64);

class TimeWaits {
 public:
  explicit TimeWaits(std::uint32_t capacity) : slots_(capacity), capacity_(capacity) {}

  std::uint32_t size() const { return capacity_ - slots_.left(); }
  bool full() const { return slots_.left() == 0; }
  std::uint32_t oldest() const { return head_; }
  TimeWait& operator[](std::uint32_t index) { return slots_[index]; }

  // Not when full: the caller takes the oldest out first. Zero capacity: no_slot.
  std::uint32_t add(const TimeWait& entry, Nanos until) {
    const std::uint32_t index = slots_.take();
    if (index == no_slot) return index;
    slots_[index] = entry;
    append(index, until);
    return index;
  }
  void restart(std::uint32_t index, Nanos until) {
    unlink(index);
    append(index, until);
  }
  void remove(std::uint32_t index) {
    unlink(index);
    slots_.give(index);
  }
  bool expired(std::uint32_t index, Nanos now) const {
    return ((ms(now) - slots_[index].until_ms) & 0x7fffffffu) < 0x40000000u;
  }
  // Milliseconds since it began, given how long it lasts.
  std::int64_t age_ms(std::uint32_t index, Nanos now, Nanos lasts) const {
    return lasts.millis() - static_cast<std::int64_t>((slots_[index].until_ms - ms(now)) & 0x7fffffffu);
  }

 private:
  static std::uint32_t ms(Nanos at) { return static_cast<std::uint32_t>(at.millis()) & 0x7fffffffu; }
  void append(std::uint32_t index, Nanos until) {
    TimeWait& entry = slots_[index];
    entry.until_ms = ms(until);
    entry.previous = tail_;
    entry.next = no_slot;
    (tail_ == no_slot ? head_ : slots_[tail_].next) = index;
    tail_ = index;
  }
  void unlink(std::uint32_t index) {
    const TimeWait& entry = slots_[index];
    (entry.previous == no_slot ? head_ : slots_[entry.previous].next) = entry.next;
    (entry.next == no_slot ? tail_ : slots_[entry.next].previous) = entry.previous;
  }

  Slots<TimeWait> slots_;
  std::uint32_t capacity_, head_ = no_slot, tail_ = no_slot;
};

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/input_slow_test.cc.
