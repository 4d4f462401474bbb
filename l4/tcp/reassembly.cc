#include "l4/tcp/reassembly.h"

#include <algorithm>

namespace sluice::tcp {

std::uint32_t append_received(Chain& queue, Chain data, Buffers& pool, Counters& counters) {
  const std::uint32_t before = queue.segments();
  rte_mbuf* tail = queue.last();
  if (tail && data.segments() == 1 && RTE_MBUF_DIRECT(tail) && sole_owner(tail) &&
      data.size() <= rte_pktmbuf_tailroom(tail) &&
      queue.append_bytes(data.front(), pool)) {  // into the tail's room: no new buffer
    counters.add(Counter::payload_copied_bytes, data.size());
    return queue.segments() - before;
  }
  queue.append(std::move(data));
  return queue.segments() - before;
}

void Reassembly::drop_after(Holes& holes, std::uint32_t previous, std::uint32_t index) {
  Hole& hole = holes[index];
  (previous == no_slot ? head_ : holes[previous].next) = hole.next;
  recount(-std::int64_t{hole.data.size()}, -std::int64_t{hole.data.segments()});
  --ranges_;
  hole.data.clear();
  holes.give(index);
}

void Reassembly::join_next(Holes& holes, std::uint32_t index, Buffers& pool, Counters& counters) {
  Hole& hole = holes[index];
  const std::uint32_t next = hole.next;
  if (next == no_slot || holes[next].begin != hole.end()) return;
  const std::uint32_t buffers = hole.data.segments() + holes[next].data.segments();
  Chain more = std::move(holes[next].data);
  hole.touched = std::max(hole.touched, holes[next].touched);
  hole.next = holes[next].next;
  holes.give(next);
  --ranges_;
  append_received(hole.data, std::move(more), pool, counters);
  recount(0, std::int64_t{hole.data.segments()} - buffers);
}

bool Reassembly::insert(Holes& holes, Seq begin, Chain data, Buffers& pool, Counters& counters) {
  std::uint32_t previous = no_slot, at = head_;
  while (at != no_slot && holes[at].begin <= begin) {
    previous = at;
    at = holes[at].next;
  }
  if (previous != no_slot && holes[previous].end() > begin) {
    const auto old = static_cast<std::uint32_t>(holes[previous].end() - begin);
    holes[previous].touched = ++clock_;
    if (old >= data.size()) return true;  // all of it is here
    data.trim_front(old);
    begin += old;
  }
  Seq end = begin + data.size();
  while (at != no_slot && holes[at].end() <= end) {
    const std::uint32_t covered = at;
    at = holes[at].next;
    drop_after(holes, previous, covered);
  }
  if (at != no_slot && holes[at].begin < end) {
    data.trim_back(static_cast<std::uint32_t>(end - holes[at].begin));
    holes[at].touched = ++clock_;
  }
  if (data.empty()) return true;
  if (previous != no_slot && holes[previous].end() == begin) {
    const std::uint32_t size = data.size();
    const std::uint32_t grown = append_received(holes[previous].data, std::move(data), pool, counters);
    recount(size, grown);
    holes[previous].touched = ++clock_;
    join_next(holes, previous, pool, counters);
    return true;
  }
  const std::uint32_t index = ranges_ < ranges_max ? holes.take() : no_slot;
  if (index == no_slot) return false;
  Hole& hole = holes[index];
  hole.begin = begin;
  hole.touched = ++clock_;
  hole.next = at;
  recount(data.size(), data.segments());
  hole.data = std::move(data);
  (previous == no_slot ? head_ : holes[previous].next) = index;
  ++ranges_;
  join_next(holes, index, pool, counters);
  return true;
}

Range Reassembly::known(const Holes& holes, Seq begin, Seq end) const {
  for (std::uint32_t i = head_; i != no_slot && holes[i].begin < end; i = holes[i].next)
    if (holes[i].end() > begin) return {later(begin, holes[i].begin), earlier(end, holes[i].end())};
  return {begin, begin};
}

std::uint32_t Reassembly::take(Holes& holes, Seq next, Chain& out) {
  std::uint32_t taken = 0;
  while (head_ != no_slot && holes[head_].begin <= next) {
    Hole& hole = holes[head_];
    const auto old = std::min(static_cast<std::uint32_t>(next - hole.begin), hole.data.size());
    const std::uint32_t bytes = hole.data.size(), buffers = hole.data.segments();
    hole.data.trim_front(old);
    taken += hole.data.size();
    next += hole.data.size();
    out.append(std::move(hole.data));
    recount(-std::int64_t{bytes}, -std::int64_t{buffers});
    const std::uint32_t done = head_;
    head_ = hole.next;
    --ranges_;
    holes.give(done);
  }
  return taken;
}

unsigned Reassembly::report(const Holes& holes, unsigned limit, std::array<Range, 4>& out) const {
  unsigned count = 0;
  std::array<std::uint32_t, 4> touched{};
  for (std::uint32_t i = head_; i != no_slot; i = holes[i].next) {
    const Hole& hole = holes[i];
    unsigned place = std::min(count, limit);
    while (place > 0 && touched[place - 1] < hole.touched) --place;
    if (place >= limit) continue;
    for (unsigned j = std::min(count, limit - 1); j > place; --j) {
      out[j] = out[j - 1];
      touched[j] = touched[j - 1];
    }
    out[place] = {hole.begin, hole.end()};
    touched[place] = hole.touched;
    if (count < limit) ++count;
  }
  return count;
}

void Reassembly::drop_behind(Holes& holes, Seq end) {
  std::uint32_t previous = no_slot, at = head_;
  while (at != no_slot && holes[at].begin < end) {
    if (Hole& hole = holes[at]; hole.end() > end) {
      const std::uint32_t bytes = hole.data.size(), buffers = hole.data.segments();
      hole.data.trim_back(static_cast<std::uint32_t>(hole.end() - end));
      recount(std::int64_t{hole.data.size()} - bytes, std::int64_t{hole.data.segments()} - buffers);
    }
    previous = at;
    at = holes[at].next;
  }
  while (at != no_slot) {
    const std::uint32_t next = holes[at].next;
    drop_after(holes, previous, at);
    at = next;
  }
}

void Reassembly::clear(Holes& holes) {
  while (head_ != no_slot) drop_after(holes, no_slot, head_);
}

}  // namespace sluice::tcp
