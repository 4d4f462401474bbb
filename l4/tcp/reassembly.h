// reassembly.h - data that came before its time: disjoint ranges of one connection in sequence order, bounded in ranges
// and buffers. What is there already wins over what comes again; a new range that covers old ones whole takes their
// place.
#pragma once

#include <array>

#include "dataplane/packet/chain.h"
#include "l4/tcp/segment.h"
#include "l4/tcp/slots.h"

namespace sluice::tcp {

struct Hole {  // one range, named after what is before it
  Seq begin;
  std::uint32_t next = no_slot;
  std::uint32_t touched = 0;  // later is larger: SACK reports the latest first
  Chain data;
  Seq end() const { return begin + data.size(); }
};
using Holes = Slots<Hole>;

class Reassembly {
 public:
  static constexpr std::uint32_t ranges_max = 64;

  bool empty() const { return head_ == no_slot; }
  std::uint32_t bytes() const { return bytes_; }
  std::uint32_t buffers() const { return buffers_; }
  std::uint32_t head() const { return head_; }

  // Takes data that begins at `begin`, behind what is expected next. False: no room; the data is dropped.
  bool insert(Holes& holes, Seq begin, Chain data, Buffers& pool, Counters& counters);
  // The first part of [begin, end) that waits here already; empty (begin == end) when none does.
  Range known(const Holes& holes, Seq begin, Seq end) const;
  // Moves what follows on from `next` to the end of `out` and returns how many bytes that was.
  std::uint32_t take(Holes& holes, Seq next, Chain& out);
  // Up to `limit` ranges for a SACK option, the one touched last first (RFC 2018 4).
  unsigned report(const Holes& holes, unsigned limit, std::array<Range, 4>& out) const;
  void clear(Holes& holes);
  void drop_behind(Holes& holes, Seq end);  // all from `end` on
  bool operator==(const Reassembly&) const = default;

 private:
  void join_next(Holes& holes, std::uint32_t index, Buffers& pool, Counters& counters);
  void drop_after(Holes& holes, std::uint32_t previous, std::uint32_t index);
  void recount(std::int64_t bytes, std::int64_t buffers) {
    bytes_ = static_cast<std::uint32_t>(bytes_ + bytes);
    buffers_ = static_cast<std::uint32_t>(buffers_ + buffers);
  }

  std::uint32_t head_ = no_slot;
  std::uint32_t bytes_ = 0, buffers_ = 0, ranges_ = 0, clock_ = 0;
};

// Appends received data to a queue; a small buffer is copied into the tail before it, where we are its sole owner and
// it has room, so that tiny segments do not hold whole buffers. Returns how many buffers the queue grew by.
std::uint32_t append_received(Chain& queue, Chain data, Buffers& pool, Counters& counters);

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/deliver_test.cc.
