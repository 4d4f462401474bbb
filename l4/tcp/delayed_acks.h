// delayed_acks.h - which connections owe their peer an ACK that waits for company, and until when. All ACKs wait
// equally long, so the first that begins to wait is the first that is due: a ring says as much as a timer wheel would,
// and an ACK that rode on data meanwhile leaves its place empty without a look at anything that stands far away. Fixed
// memory; when all places are taken, the ACK goes at once. One owner thread.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <memory>

#include "dataplane/base/check.h"
#include "dataplane/base/units.h"

namespace sluice::tcp {

struct Tcb;

class DelayedAcks {
 public:
  static constexpr std::uint32_t none = ~std::uint32_t{0};

  // At least `places`.
  explicit DelayedAcks(std::uint32_t places)
      : mask_(std::bit_ceil(places) - 1), ring_(std::make_unique_for_overwrite<Owed[]>(mask_ + 1)) {}

  // The connection's place until it is due or removed; none: the ring is full. `at` is not before that of an earlier
  // call (one that is goes with its predecessor).
  std::uint32_t add(Tcb& t, Nanos at) {
    if (tail_ - head_ > mask_) return none;
    last_ = at > last_ ? at : last_;
    const std::uint32_t place = tail_++ & mask_;
    ring_[place] = {&t, last_};
    return place;
  }
  void remove(std::uint32_t place) {
    DCHECK(place <= mask_ && ring_[place].who);
    ring_[place].who = nullptr;
    skip_empty();
  }
  // Calls due(Tcb&) for those whose time has come, at most `budget`; they have no place any more then, and `due` may
  // add and remove any.
  template <typename F>
  void advance(Nanos now, unsigned budget, F&& due) {
    for (; head_ != tail_ && budget > 0 && ring_[head_ & mask_].at <= now; --budget) {
      Tcb& t = *ring_[head_++ & mask_].who;
      skip_empty();
      due(t);
    }
  }
  // When the first is due; never() when none waits.
  Nanos next() const { return head_ == tail_ ? Nanos::never() : ring_[head_ & mask_].at; }
  // For audits: whether that place is this connection's.
  bool holds(std::uint32_t place, const Tcb& t) const { return place <= mask_ && ring_[place].who == &t; }

 private:
  struct Owed {
    Tcb* who;  // nullptr: not any more; the first in line is never so
    Nanos at;
  };

  void skip_empty() {
    while (head_ != tail_ && !ring_[head_ & mask_].who) ++head_;
  }

  std::uint32_t mask_, head_ = 0, tail_ = 0;  // counted on; a place is the low bits
  std::unique_ptr<Owed[]> ring_;
  Nanos last_{std::numeric_limits<std::int64_t>::min()};
};

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/delayed_acks_test.cc.
