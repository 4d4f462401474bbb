// transit.h - what a connection needs only while something is on its way: ranges of ours in flight, data of the peer's
// out of order, an episode of loss that is not over. An idle connection has none and is small; those that are busy take
// turns with the same few, which therefore stay in the cache however many connections there are. One pool per worker;
// when it is empty, nothing new is sent and what comes out of order is dropped: both counted, both come again.
#pragma once

#include <memory>
#include <type_traits>

#include "l4/tcp/rack.h"
#include "l4/tcp/reassembly.h"
#include "l4/tcp/scoreboard.h"

namespace sluice::tcp {

struct Transit {
  Scoreboard board;
  Reassembly reassembly;
  Rack rack;
  Seq recovery_point, undo_marker, tail_probe_end;
  std::int32_t undo_resends = 0;    // of the episode, that no DSACK told of yet; 0: all were in vain; -1: none yet
  std::uint32_t retransmit_ts = 0;  // TSval of the first retransmission of an episode (Eifel, RFC 3522)
  Seq fin_seq;                      // of a FIN that came out of order
  Seq dsack_begin, dsack_end;
  Seq mtu_probe_end;
  std::uint16_t mtu_probe_mss = 0;

  bool operator==(const Transit&) const = default;
};

// Last in, first out. Memory that was never needed is never touched.
class Transits {
 public:
  explicit Transits(std::uint32_t capacity) : slots_(new Slot[capacity]), capacity_(capacity) {}

  // A new one, or nullptr when the pool is empty.
  Transit* take() {
    Slot* slot = free_;
    if (slot) free_ = slot->next;
    else if (touched_ < capacity_) slot = &slots_[touched_++];
    else return nullptr;
    ++used_;
    return new (slot->bytes) Transit;
  }
  void give(Transit* transit) {
    auto* slot = reinterpret_cast<Slot*>(transit);
    slot->next = free_;
    free_ = slot;
    --used_;
  }
  std::uint32_t used() const { return used_; }
  std::uint32_t left() const { return capacity_ - used_; }

 private:
  union Slot {
    Slot() {}
    Slot* next;
    alignas(64) std::byte bytes[sizeof(Transit)];
  };
  static_assert(std::is_trivially_destructible_v<Transit>);

  std::unique_ptr<Slot[]> slots_;
  Slot* free_ = nullptr;
  std::uint32_t capacity_, touched_ = 0, used_ = 0;
};

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/transit_test.cc.
