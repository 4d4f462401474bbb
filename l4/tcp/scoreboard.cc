#include "l4/tcp/scoreboard.h"

namespace sluice::tcp {

namespace {

// RACK_sent_after (RFC 8985 6.2): by time, then by sequence number.
bool sent_after(Nanos a, Seq a_end, Nanos b, Seq b_end) { return a > b || (a == b && a_end > b_end); }

}  // namespace

void Scoreboard::count(const Record& record, int sign) {
  const std::uint32_t size = static_cast<std::uint32_t>(record.end - record.begin);
  std::uint32_t& sum = record.fate == Fate::in_flight ? in_flight_ : record.fate == Fate::lost ? lost_ : sacked_;
  sum += sign > 0 ? size : 0 - size;
}

void Scoreboard::set_fate(Record& record, Fate fate) {
  count(record, -1);
  record.fate = fate;
  count(record, +1);
}

bool Scoreboard::sent(Records& records, Seq begin, Seq end, Nanos now) {
  const std::uint32_t index = records.take();
  if (index == no_slot) return false;
  records[index] = {begin, end, now, no_slot, Fate::in_flight, false};
  count(records[index], +1);
  if (head_ == no_slot) {
    head_ = index;
    fack = begin;
  } else {
    records[tail_].next = index;
  }
  tail_ = index;
  return true;
}

void Scoreboard::resent(Records& records, std::uint32_t index, Nanos now) {
  Record& record = records[index];
  set_fate(record, Fate::in_flight);
  record.sent = now;
  record.retransmitted = true;
}

bool Scoreboard::split(Records& records, std::uint32_t index, Seq at) {
  const std::uint32_t rest = records.take();
  if (rest == no_slot) return false;
  records[rest] = records[index];
  records[rest].begin = at;
  records[index].end = at;
  records[index].next = rest;
  if (tail_ == index) tail_ = rest;
  return true;
}

void Scoreboard::deliver(Record& record, Delivered& delivered) {
  delivered.bytes += static_cast<std::uint32_t>(record.end - record.begin);
  if (!delivered.any || sent_after(record.sent, record.end, delivered.latest_sent, delivered.latest_end)) {
    delivered.any = true;
    delivered.latest_sent = record.sent;
    delivered.latest_end = record.end;
    delivered.latest_retransmitted = record.retransmitted;
  }
  if (!record.retransmitted) {
    if (!delivered.has_rtt || record.sent > delivered.sent_once) delivered.sent_once = record.sent;
    delivered.has_rtt = true;
    if (record.end < fack) delivered.reordered = true;  // RFC 8985 6.2 step 3
  }
  fack = later(fack, record.end);
}

void Scoreboard::acknowledge(Records& records, Seq una, Delivered& delivered) {
  while (head_ != no_slot && records[head_].begin < una) {
    Record& record = records[head_];
    if (record.end > una) {
      // A part of it: that part counts as delivered, the rest stays as it is.
      Record part = record;
      part.end = una;
      if (part.fate != Fate::sacked) deliver(part, delivered);
      count(part, -1);
      record.begin = una;
      return;
    }
    if (record.fate != Fate::sacked) deliver(record, delivered);
    count(record, -1);
    const std::uint32_t next = record.next;
    records.give(head_);
    head_ = next;
  }
  if (head_ == no_slot) tail_ = no_slot;
}

void Scoreboard::sack(Records& records, Range range, Delivered& delivered) {
  std::uint32_t previous = no_slot;
  for (std::uint32_t index = head_; index != no_slot; index = records[index].next) {
    Record* record = &records[index];
    if (record->begin >= range.end) break;
    if (record->end > range.begin && record->fate != Fate::sacked) {
      if (record->begin < range.begin) {
        if (!split(records, index, range.begin)) break;
        previous = index;
        index = records[index].next;
        record = &records[index];
      }
      if (record->end > range.end && !split(records, index, range.end)) break;
      deliver(*record, delivered);
      delivered.sacked += static_cast<std::uint32_t>(record->end - record->begin);
      set_fate(*record, Fate::sacked);
    }
    // Sacked neighbours merge.
    if (record->fate == Fate::sacked && previous != no_slot && records[previous].fate == Fate::sacked) {
      Record& before = records[previous];
      before.end = record->end;
      before.next = record->next;
      if (tail_ == index) tail_ = previous;
      records.give(index);
      index = previous;
    }
    previous = index;
  }
}

void Scoreboard::forget_sacks(Records& records) {
  for (std::uint32_t i = head_; i != no_slot; i = records[i].next)
    if (records[i].fate == Fate::sacked) set_fate(records[i], Fate::lost);
}

void Scoreboard::mark_lost(Records& records, std::uint32_t index) {
  if (records[index].fate == Fate::in_flight) set_fate(records[index], Fate::lost);
}

void Scoreboard::mark_all_lost(Records& records) {
  for (std::uint32_t i = head_; i != no_slot; i = records[i].next) mark_lost(records, i);
}

void Scoreboard::unmark_lost(Records& records) {
  for (std::uint32_t i = head_; i != no_slot; i = records[i].next)
    if (records[i].fate == Fate::lost) set_fate(records[i], Fate::in_flight);
}

Nanos Scoreboard::detect_losses(Records& records, Nanos rack_sent, Seq rack_end, Nanos rtt, Nanos reordering_window,
                                Nanos now, std::uint32_t& newly_lost) {
  Nanos wait = Nanos::never();
  for (std::uint32_t i = head_; i != no_slot; i = records[i].next) {
    Record& record = records[i];
    if (record.fate != Fate::in_flight) continue;
    if (!sent_after(rack_sent, rack_end, record.sent, record.end)) {
      // Originals stand in the order of their times: behind one that is too young, all are.
      if (!record.retransmitted) break;
      continue;
    }
    const Nanos due = record.sent + rtt + reordering_window;
    if (due <= now) {
      newly_lost += static_cast<std::uint32_t>(record.end - record.begin);
      set_fate(record, Fate::lost);
    } else if (due < wait) {
      wait = due;
    }
  }
  return wait;
}

std::uint32_t Scoreboard::first_lost(const Records& records) const {
  if (lost_ == 0) return no_slot;
  std::uint32_t i = head_;
  while (records[i].fate != Fate::lost) i = records[i].next;
  return i;
}

void Scoreboard::clear(Records& records) {
  while (head_ != no_slot) {
    const std::uint32_t next = records[head_].next;
    records.give(head_);
    head_ = next;
  }
  tail_ = no_slot;
  in_flight_ = lost_ = sacked_ = 0;
}

}  // namespace sluice::tcp
