// scoreboard.h - what is in flight and what became of it: one record per transmitted range, in sequence order (RFC
// 2018, RFC 6675's pipe), with the time it was sent last, which is what RACK (RFC 8985) decides by. Counted in
// segments, as Linux counts (packets_out, sacked_out, lost_out, retrans_out), so that small segments use up the window
// too. Neighbours that are sacked merge, so the list is as long as the number of holes plus what is still in flight.
// Records come from one pool per worker; when it is empty nothing new is sent.
#pragma once

#include "l4/tcp/rate.h"
#include "l4/tcp/segment.h"
#include "l4/tcp/slots.h"

namespace sluice::tcp {

// What is known of a record. Lost and again together: it was sent again and that is in flight.
enum Mark : std::uint8_t {
  is_sacked = 1,
  is_lost = 2,
  is_again = 4,
  is_resent = 8,  // sent more than once in its life
  is_app_limited = 16,
  is_push = 32,  // its last segment carried PSH
};

struct Record {
  Seq begin, end;
  std::uint32_t sent = 0;  // last, microseconds of our clock
  std::uint32_t next = no_slot;
  RateMark rate;
  std::uint16_t segments = 1;
  std::uint8_t marks = 0;

  bool is(std::uint8_t mask) const { return marks & mask; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(end - begin); }
};
static_assert(sizeof(Record) == 32);
using Records = Slots<Record>;

// What one ACK tells: filled while the records are walked (sack, acknowledge, detect_losses), read by recovery.cc.
struct News {
  // Set before.
  std::uint32_t now = 0;        // microseconds
  std::uint32_t rtt_min = 0;    // microseconds
  std::uint32_t mss = 536;      // payload of a whole segment
  Seq recovery_point;           // SND.NXT when the episode began
  bool sack = false;            // the connection uses SACK
  bool has_echo = false;        // the segment has a timestamp to compare
  std::uint32_t echo_sent = 0;  // when what it echoes was sent, microseconds rounded up to the timestamp's unit

  // Found.
  std::uint32_t delivered = 0;     // segments not known to be delivered before, and duplicates told by DSACK
  std::uint32_t acknowledged = 0;  // segments that the cumulative ACK passed
  bool advanced = false;           // SND.UNA moved
  bool data_acked = false, data_sacked = false;
  bool resent_acked = false;    // of what the cumulative ACK passed, something was sent more than once
  bool original_acked = false;  // something sent once, before the episode began, is (s)acked: F-RTO
  bool dsack = false, dsack_of_probe = false;
  bool echo = false;  // ECE
  bool window_moved = false, carries_data = false;
  bool retransmission_lost = false;
  bool set_timer = false;
  bool reneged = false;  // the head is sacked: the peer had it and lets it be asked for
  bool has_sent = false, has_sack_sent = false;
  std::uint32_t first_sent = 0, last_sent = 0;            // of cumulatively acknowledged originals
  std::uint32_t first_sack_sent = 0, last_sack_sent = 0;  // of sacked ones
  Seq reordered_from;                                     // the lowest original delivered out of order
  RateSample rate;

  // RFC 5681's duplicate, as Linux counts it: nothing new of any kind.
  bool duplicate() const { return !advanced && !carries_data && !window_moved && !data_acked && !dsack; }
  bool progress() const { return data_acked || data_sacked; }
};

class Scoreboard {
 public:
  // Segments.
  std::uint32_t out() const { return out_; }
  std::uint32_t sacked() const { return sacked_; }
  std::uint32_t lost() const { return lost_; }
  std::uint32_t again() const { return again_; }
  std::uint32_t left_out() const { return sacked_ + lost_; }
  std::uint32_t in_flight() const { return out_ + again_ - left_out(); }  // the pipe
  std::uint32_t lost_ever() const { return lost_ever_; }
  bool empty() const { return head_ == no_slot; }
  std::uint32_t head() const { return head_; }
  std::uint32_t tail() const { return tail_; }
  // Highest end that was ever sacked, or the head's begin.
  Seq fack(const Records& records) const { return sacked_ ? fack_ : empty() ? fack_ : records[head_].begin; }

  // Whether something less than whole segments is in flight (for Nagle's rule alone: it walks the list).
  bool has_small(const Records& records, std::uint32_t segment) const {
    for (std::uint32_t i = head_; i != no_slot; i = records[i].next)
      if (records[i].size() % segment) return true;
    return false;
  }

  // A new range was sent, behind all others. False when no record is free (nothing may be sent then).
  bool sent(Records& records, Seq begin, Seq end, std::uint32_t segments, std::uint8_t marks, const RateMark& rate,
            std::uint32_t now);
  // A record was sent again; `counts`: as the repair of a loss, not as a tail probe.
  void resent(Records& records, std::uint32_t index, const RateMark& rate, std::uint32_t now, bool counts);
  // Cuts a record in two at `at`, which lies inside; `mss`: of a whole segment. False when no record is free.
  bool split(Records& records, std::uint32_t index, Seq at, std::uint32_t mss);

  // Everything before `una` is delivered.
  void acknowledge(Records& records, Seq una, News& news, Rack& rack, Rate& rate);
  // [begin, end) is reported by SACK, in a block that was found valid.
  void sack(Records& records, Range range, News& news, Rack& rack, Rate& rate);
  // A DSACK of [begin, end): how many segments of what is in flight it tells were sent twice.
  void duplicated(Records& records, Range range);
  // Without SACK, `sacked` counts duplicate ACKs (Linux's emulation).
  void set_sacked(std::uint32_t segments) { sacked_ = segments; }
  // Forgets all SACK information: the peer reneged (RFC 2018 8).
  void forget_sacks(Records& records);
  void mark_lost(Records& records, std::uint32_t index);
  // After a timeout: the head, and what was sent longer ago than `rtt` (all of it without SACK).
  void mark_timed_out(Records& records, bool sack, std::uint32_t rtt, std::uint32_t now);
  // What was taken for lost is in flight after all.
  void unmark_lost(Records& records);
  // RACK_detect_loss (RFC 8985 6.2 step 5): marks what was sent early enough before the one delivered last. Returns the
  // microseconds until all that is left would be marked, 0: none.
  std::uint32_t detect_losses(Records& records, const Rack& rack, std::uint32_t window, std::uint32_t now);
  // The first lost record that was not sent again yet, or no_slot.
  std::uint32_t first_lost(const Records& records) const;
  bool resent_any(const Records& records) const { return again_ || (!empty() && records[head_].is(is_resent)); }
  void clear(Records& records);
  bool operator==(const Scoreboard&) const = default;

 private:
  void count(const Record& record, std::uint32_t segments, int sign);
  void deliver(const Record& record, News& news, Rack& rack);

  std::uint32_t head_ = no_slot, tail_ = no_slot;
  std::uint32_t out_ = 0, sacked_ = 0, lost_ = 0, again_ = 0, lost_ever_ = 0;
  Seq fack_;
};

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/recovery_test.cc, tests/unit/l4/tcp/stack_test.cc.
