#include "l4/tcp/scoreboard.h"

#include <algorithm>

namespace sluice::tcp {

namespace {

std::uint32_t segments_of(std::uint32_t bytes, std::uint32_t mss) { return bytes ? (bytes + mss - 1) / mss : 1; }

}  // namespace

void Scoreboard::count(const Record& record, std::uint32_t segments, int sign) {
  const std::uint32_t n = sign > 0 ? segments : 0 - segments;
  out_ += n;
  if (record.is(is_sacked)) sacked_ += n;
  if (record.is(is_lost)) lost_ += n;
  if (record.is(is_again)) again_ += n;
}

bool Scoreboard::sent(Records& records, Seq begin, Seq end, std::uint32_t segments, std::uint8_t marks,
                      const RateMark& rate, std::uint32_t now) {
  const std::uint32_t index = records.take();
  if (index == no_slot) return false;
  records[index] = {begin, end, now, no_slot, rate, static_cast<std::uint16_t>(std::min(segments, 65535u)), marks};
  out_ += records[index].segments;
  if (head_ == no_slot) {
    head_ = index;
    fack_ = begin;
  } else {
    records[tail_].next = index;
  }
  tail_ = index;
  return true;
}

void Scoreboard::resent(Records& records, std::uint32_t index, const RateMark& rate, std::uint32_t now, bool counts) {
  Record& record = records[index];
  record.sent = now;
  record.rate = rate;
  if (counts && !record.is(is_again)) {
    record.marks |= is_again;
    again_ += record.segments;
  }
  record.marks |= is_resent;
}

bool Scoreboard::split(Records& records, std::uint32_t index, Seq at, std::uint32_t mss) {
  const std::uint32_t rest = records.take();
  if (rest == no_slot) return false;
  Record &first = records[index], &second = records[rest];
  count(first, first.segments, -1);
  second = first;
  second.begin = first.end = at;
  first.marks &= static_cast<std::uint8_t>(~is_push);
  first.segments = static_cast<std::uint16_t>(segments_of(first.size(), mss));
  second.segments = static_cast<std::uint16_t>(segments_of(second.size(), mss));
  count(first, first.segments, +1);
  count(second, second.segments, +1);
  first.next = rest;
  if (tail_ == index) tail_ = rest;
  return true;
}

void Scoreboard::deliver(const Record& record, News& news, Rack& rack) {
  // A retransmission whose ACK echoes an older timestamp was not what arrived (RFC 8985 6.2 step 2).
  if (record.is(is_resent) && news.has_echo && since(news.echo_sent, record.sent) < 0) return;
  rack.advance(record.sent, record.end, record.is(is_resent), news.rtt_min, news.now);
}

void Scoreboard::acknowledge(Records& records, Seq una, News& news, Rack& rack, Rate& rate) {
  while (head_ != no_slot && records[head_].begin < una) {
    Record& record = records[head_];
    const bool whole = record.end <= una;
    std::uint32_t n = record.segments;
    if (!whole) {
      n -= std::min(n, segments_of(static_cast<std::uint32_t>(record.end - una), news.mss));
      if (n == 0) {  // less than a segment of it
        record.begin = una;
        break;
      }
    }
    if (record.is(is_resent)) {
      news.resent_acked = true;
    } else if (!record.is(is_sacked)) {
      if (!news.has_sent) news.first_sent = record.sent;
      news.last_sent = record.sent;
      news.has_sent = true;
      news.reordered_from = earlier(news.reordered_from, record.begin);
      if (record.end <= news.recovery_point) news.original_acked = true;
    }
    if (!record.is(is_sacked)) {
      if (news.sack) {
        news.delivered += n;
        deliver(record, news, rack);
      }
      rate.on_delivered(record.rate, record.sent, record.end, record.is(is_app_limited), news.rate);
    }
    count(record, n, -1);
    news.acknowledged += n;
    news.data_acked = true;
    if (!whole) {
      record.begin = una;
      record.segments = static_cast<std::uint16_t>(record.segments - n);
      break;
    }
    const std::uint32_t next = record.next;
    records.give(head_);
    head_ = next;
  }
  if (head_ == no_slot) tail_ = no_slot;
  else if (records[head_].is(is_sacked)) news.reneged = true;
}

// Whole: the walk, the cut at both ends and the merging belong together.
void Scoreboard::sack(Records& records, Range range, News& news, Rack& rack, Rate& rate) {
  std::uint32_t previous = no_slot;
  for (std::uint32_t index = head_; index != no_slot; index = records[index].next) {
    Record* record = &records[index];
    if (record->begin >= range.end) break;
    if (record->end > range.begin && !record->is(is_sacked)) {
      // Of a record only whole segments count, as in Linux: blocks of single bytes must not cut it to pieces.
      if (record->begin < range.begin) {
        const std::uint32_t keep =
            segments_of(static_cast<std::uint32_t>(range.begin - record->begin), news.mss) * news.mss;
        if (keep >= record->size()) {
          previous = index;
          continue;
        }
        if (!split(records, index, record->begin + keep, news.mss)) break;
        previous = index;
        index = records[index].next;
        record = &records[index];
      }
      if (record->end > range.end) {
        const auto covered = range.end > record->begin ? static_cast<std::uint32_t>(range.end - record->begin) : 0;
        if (covered < news.mss || !split(records, index, record->begin + covered / news.mss * news.mss, news.mss))
          break;
        record = &records[index];
      }
      deliver(*record, news, rack);
      rate.on_delivered(record->rate, record->sent, record->end, record->is(is_app_limited), news.rate);
      count(*record, record->segments, -1);
      if (record->is(is_again)) {
        if (record->is(is_lost)) record->marks &= static_cast<std::uint8_t>(~(is_lost | is_again));
      } else {
        if (!record->is(is_resent)) {
          // Sent once and below what was sacked before: reordering.
          if (sacked_ && record->begin < fack_) news.reordered_from = earlier(news.reordered_from, record->begin);
          if (record->end <= news.recovery_point) news.original_acked = true;
          if (!news.has_sack_sent) news.first_sack_sent = record->sent;
          news.last_sack_sent = record->sent;
          news.has_sack_sent = true;
        }
        record->marks &= static_cast<std::uint8_t>(~is_lost);
      }
      record->marks |= is_sacked;
      fack_ = sacked_ ? later(fack_, record->end) : record->end;
      count(*record, record->segments, +1);
      news.delivered += record->segments;
      news.data_sacked = true;
    }
    // Sacked neighbours merge.
    if (previous != no_slot && record->is(is_sacked) && records[previous].is(is_sacked) && !record->is(is_again) &&
        !records[previous].is(is_again) && records[previous].segments + record->segments <= 65535) {
      Record& before = records[previous];
      before.end = record->end;
      before.next = record->next;
      before.segments = static_cast<std::uint16_t>(before.segments + record->segments);
      before.marks |= record->marks;
      if (tail_ == index) tail_ = previous;
      records.give(index);
      index = previous;
    }
    previous = index;
  }
}

void Scoreboard::duplicated(Records& records, Range range) {
  for (std::uint32_t i = head_; i != no_slot && records[i].begin < range.end; i = records[i].next) {
    Record& record = records[i];
    if (record.begin < range.begin || record.end > range.end || !record.is(is_again)) continue;
    again_ -= record.segments;  // both copies arrived
    record.marks &= static_cast<std::uint8_t>(~is_again);
  }
}

void Scoreboard::forget_sacks(Records& records) {
  for (std::uint32_t i = head_; i != no_slot; i = records[i].next)
    records[i].marks &= static_cast<std::uint8_t>(~is_sacked);
  sacked_ = 0;
}

void Scoreboard::mark_lost(Records& records, std::uint32_t index) {
  Record& record = records[index];
  if (record.is(is_sacked)) return;
  if (record.is(is_lost) && !record.is(is_again)) return;
  if (record.is(is_again)) {  // what was sent again is lost again
    record.marks &= static_cast<std::uint8_t>(~is_again);
    again_ -= record.segments;
  }
  if (!record.is(is_lost)) {
    record.marks |= is_lost;
    lost_ += record.segments;
  }
  lost_ever_ += record.segments;
}

void Scoreboard::mark_timed_out(Records& records, bool sack, std::uint32_t rtt, std::uint32_t now) {
  for (std::uint32_t i = head_; i != no_slot; i = records[i].next)
    if (i == head_ || !sack || since(now, records[i].sent) >= static_cast<std::int32_t>(rtt)) mark_lost(records, i);
}

void Scoreboard::unmark_lost(Records& records) {
  for (std::uint32_t i = head_; i != no_slot; i = records[i].next)
    records[i].marks &= static_cast<std::uint8_t>(~is_lost);
  lost_ = 0;
}

std::uint32_t Scoreboard::detect_losses(Records& records, const Rack& rack, std::uint32_t window, std::uint32_t now) {
  std::int32_t wait = 0;
  for (std::uint32_t i = head_; i != no_slot; i = records[i].next) {
    const Record& record = records[i];
    if (record.is(is_sacked) || (record.is(is_lost) && !record.is(is_again))) continue;
    if (!sent_after(rack.sent, rack.end, record.sent, record.end)) {
      // Originals stand in the order of their times: behind one that is too young, all are.
      if (!record.is(is_resent)) break;
      continue;
    }
    const std::int32_t left = static_cast<std::int32_t>(rack.rtt + window) - since(now, record.sent);
    if (left <= 0) mark_lost(records, i);
    else wait = std::max(wait, left);
  }
  return static_cast<std::uint32_t>(wait);
}

std::uint32_t Scoreboard::first_lost(const Records& records) const {
  if (lost_ <= again_) return no_slot;
  std::uint32_t i = head_;
  while (i != no_slot && (records[i].marks & (is_lost | is_again | is_sacked)) != is_lost) i = records[i].next;
  return i;
}

void Scoreboard::clear(Records& records) {
  while (head_ != no_slot) {
    const std::uint32_t next = records[head_].next;
    records.give(head_);
    head_ = next;
  }
  tail_ = no_slot;
  out_ = sacked_ = lost_ = again_ = 0;
}

}  // namespace sluice::tcp
