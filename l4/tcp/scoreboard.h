// scoreboard.h - what is in flight and what became of it: one record per transmitted range, in sequence order (RFC
// 2018, RFC 6675's pipe), with the time it was sent last, which is what RACK (RFC 8985) decides by. A record is in
// flight, lost (to be sent again) or sacked. Neighbours that are sacked merge, so the list is as long as the number of
// holes plus what is still in flight. Records come from one pool per worker; when it is empty nothing new is sent.
#pragma once

#include "dataplane/base/units.h"
#include "l4/tcp/segment.h"
#include "l4/tcp/slots.h"

namespace sluice::tcp {

enum class Fate : std::uint8_t { in_flight, lost, sacked };

struct Record {
  Seq begin, end;
  Nanos sent{};
  std::uint32_t next = no_slot;
  Fate fate = Fate::in_flight;
  bool retransmitted = false;
};
static_assert(sizeof(Record) == 32 || sizeof(Record) == 24);
using Records = Slots<Record>;

// What an acknowledgment newly said to be delivered.
struct Delivered {
  std::uint32_t bytes = 0;   // not known to be delivered before
  std::uint32_t sacked = 0;  // of these, by SACK
  Nanos latest_sent{};       // of the delivered record sent last, by RACK's order
  Seq latest_end;
  bool latest_retransmitted = false;
  bool any = false;
  Nanos sent_once{};  // the send time of the newest record that was sent only once, for the RTT
  bool has_rtt = false;
  Seq reordered_below;  // highest end of an original delivered out of order: see fack
  bool reordered = false;
};

class Scoreboard {
 public:
  std::uint32_t in_flight() const { return in_flight_; }  // bytes: the pipe
  std::uint32_t lost() const { return lost_; }
  std::uint32_t sacked() const { return sacked_; }
  bool empty() const { return head_ == no_slot; }
  std::uint32_t head() const { return head_; }
  std::uint32_t tail() const { return tail_; }
  // Whether something less than whole segments is in flight (for Nagle's rule alone: it walks the list).
  bool has_small(const Records& records, std::uint32_t segment) const {
    for (std::uint32_t i = head_; i != no_slot; i = records[i].next)
      if (static_cast<std::uint32_t>(records[i].end - records[i].begin) % segment) return true;
    return false;
  }

  // A new range was sent, behind all others. False when no record is free (nothing may be sent then).
  bool sent(Records& records, Seq begin, Seq end, Nanos now);
  // A record was sent again.
  void resent(Records& records, std::uint32_t index, Nanos now);
  // Cuts a record in two at `at`, which lies inside. False when no record is free.
  bool split(Records& records, std::uint32_t index, Seq at);

  // Everything before `una` is delivered.
  void acknowledge(Records& records, Seq una, Delivered& delivered);
  // [begin, end) is reported by SACK. Ranges outside what was sent are ignored.
  void sack(Records& records, Range range, Delivered& delivered);
  // Forgets all SACK information: the peer may have reneged (RFC 2018 8).
  void forget_sacks(Records& records);
  void mark_lost(Records& records, std::uint32_t index);
  void mark_all_lost(Records& records);
  // What was taken for lost and not sent again yet is in flight after all.
  void unmark_lost(Records& records);
  // RACK_detect_loss (RFC 8985 6.2): marks what was sent early enough before the record that was delivered last.
  // Returns the time after which a record still in flight would be marked, or never.
  Nanos detect_losses(Records& records, Nanos rack_sent, Seq rack_end, Nanos rtt, Nanos reordering_window, Nanos now,
                      std::uint32_t& newly_lost);
  // The first lost record, or no_slot.
  std::uint32_t first_lost(const Records& records) const;
  void clear(Records& records);
  // Highest end that was ever delivered, for reordering detection.
  Seq fack;

 private:
  void count(const Record& record, int sign);
  void set_fate(Record& record, Fate fate);
  void deliver(Record& record, Delivered& delivered);

  std::uint32_t head_ = no_slot, tail_ = no_slot;
  std::uint32_t in_flight_ = 0, lost_ = 0, sacked_ = 0;
};

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/acknowledge_test.cc, tests/unit/l4/tcp/stack_test.cc.
