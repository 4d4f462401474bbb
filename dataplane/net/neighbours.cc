#include "dataplane/net/neighbours.h"

#include <bit>

#include "dataplane/base/hash.h"

namespace sluice {

namespace {

constexpr std::uint32_t nobody = ~std::uint32_t{0};
constexpr std::uint32_t slots_per_sweep = 256;  // of the table, looked at by one due() or one eviction
constexpr std::uint32_t unresolved_share = 4;   // one in so many neighbours may be unresolved

}  // namespace

Neighbours::Neighbours(const NeighbourLimits& limits, Counters& counters)
    : limits_(limits),
      counters_(counters),
      pool_(limits.capacity),
      buckets_(new std::uint32_t[std::bit_ceil(limits.capacity * 2)]),
      bucket_mask_(std::bit_ceil(limits.capacity * 2) - 1),
      resolutions_(limits.resolutions_per_second, limits.resolutions_burst) {
  std::fill_n(buckets_.get(), bucket_mask_ + 1, nobody);
}

Neighbours::~Neighbours() { clear(); }

std::uint32_t Neighbours::bucket(InterfaceId interface, const IpAddress& address) const {
  return end_hash(address, interface) & bucket_mask_;
}

Neighbours::Neighbour* Neighbours::find(InterfaceId interface, const IpAddress& address) {
  for (std::uint32_t at = buckets_[bucket(interface, address)]; at != nobody; at = pool_[at].next)
    if (pool_[at].interface == interface && pool_[at].address == address) return &pool_[at];
  return nullptr;
}

Neighbours::Neighbour* Neighbours::find_or_make(InterfaceId interface, const IpAddress& address, Nanos now) {
  if (Neighbour* known = find(interface, address)) return known;
  if (!resolutions_.take(now)) return nullptr;
  // Someone else may be waiting for an answer that never comes: it gives way, so that a scan does not keep newcomers
  // out.
  if (unresolved_ >= std::max(limits_.capacity / unresolved_share, 1u) && !evict_unresolved()) return nullptr;
  Neighbour* made = make(interface, address);
  if (made) set_state(*made, State::incomplete, now);
  return made;
}

Neighbours::Neighbour* Neighbours::make(InterfaceId interface, const IpAddress& address) {
  if (pool_.full() && !evict_stale()) return nullptr;
  Neighbour* made = pool_.make();
  made->address = address;
  made->interface = interface;
  made->state = State::stale;
  std::uint32_t& head = buckets_[bucket(interface, address)];
  made->next = std::exchange(head, pool_.index_of(made));
  return made;
}

bool Neighbours::evict_stale() {
  for (std::uint32_t i = 0; i < std::min(slots_per_sweep, limits_.capacity); ++i) {
    evict_ = (evict_ + 1) % limits_.capacity;
    if (!pool_.live(evict_) || pool_[evict_].pinned || pool_[evict_].state != State::stale) continue;
    remove(pool_[evict_], Counter::neighbours_evicted);
    return true;
  }
  return false;
}

bool Neighbours::evict_unresolved() {
  for (std::uint32_t i = 0; i < limits_.capacity; ++i) {
    evict_ = (evict_ + 1) % limits_.capacity;
    if (!pool_.live(evict_) || pool_[evict_].pinned || pool_[evict_].state != State::incomplete) continue;
    remove(pool_[evict_], Counter::neighbours_failed);
    return true;
  }
  return false;
}

void Neighbours::remove(Neighbour& neighbour, Counter reason) {
  counters_.add(reason);
  while (Packet packet = take_waiting(neighbour)) drop(std::move(packet), Counter::drop_no_neighbour, counters_);
  unresolved_ -= neighbour.state == State::incomplete;
  std::uint32_t* at = &buckets_[bucket(neighbour.interface, neighbour.address)];
  while (*at != pool_.index_of(&neighbour)) at = &pool_[*at].next;
  *at = neighbour.next;
  pool_.free(&neighbour);
}

void Neighbours::set_state(Neighbour& neighbour, State state, Nanos deadline) {
  unresolved_ += (state == State::incomplete) - (neighbour.state == State::incomplete);
  if (state != neighbour.state) neighbour.tries = 0;
  neighbour.state = state;
  neighbour.deadline = deadline;
}

bool Neighbours::used(Neighbour& neighbour, Nanos now) {
  if (neighbour.state == State::reachable) [[likely]] {
    if (now < neighbour.deadline) [[likely]]
      return false;
    set_state(neighbour, State::stale, Nanos::never());
  }
  if (neighbour.state == State::stale) set_state(neighbour, State::probe, now);
  if (now < neighbour.deadline || neighbour.tries >= limits_.tries) return false;
  ++neighbour.tries;
  neighbour.deadline = now + limits_.retry_interval;
  return true;
}

Neighbours::Solicit Neighbours::solicit(const Neighbour& neighbour) const {
  return {neighbour.address, neighbour.mac, neighbour.interface, neighbour.usable()};
}

void Neighbours::wait(Neighbour& neighbour, Packet packet) {
  if (neighbour.waiting_count == packets_per_neighbour)
    drop(take_waiting(neighbour), Counter::drop_neighbour_queue, counters_);
  neighbour.waiting[neighbour.waiting_count++] = packet.release();
}

Packet Neighbours::take_waiting(Neighbour& neighbour) {
  if (neighbour.waiting_count == 0) return {};
  rte_mbuf* first = neighbour.waiting[0];
  std::copy(neighbour.waiting.begin() + 1, neighbour.waiting.begin() + neighbour.waiting_count,
            neighbour.waiting.begin());
  --neighbour.waiting_count;
  return Packet{first};
}

// RFC 4861 7.2.3 (request), 7.2.5 (reply, announcement); RFC 826 is the same with every message replacing.
Neighbours::Neighbour* Neighbours::apply(const NeighbourNews& news, Nanos now) {
  Neighbour* neighbour = find(news.interface, news.address);
  if (!neighbour) {
    if (news.kind != NeighbourNews::Kind::request) return nullptr;
    neighbour = make(news.interface, news.address);
    if (!neighbour) return nullptr;
    neighbour->mac = news.mac;
    set_state(*neighbour, State::stale, Nanos::never());
    return neighbour;
  }
  const bool changed = neighbour->mac != news.mac;
  const bool reply = news.kind == NeighbourNews::Kind::reply;
  if (neighbour->usable() && changed && !news.replaces) {
    if (neighbour->state == State::reachable) set_state(*neighbour, State::stale, Nanos::never());
    return neighbour;
  }
  const bool was_usable = neighbour->usable();
  neighbour->mac = news.mac;
  if (reply) {
    set_state(*neighbour, State::reachable, now + limits_.reachable_time);
    if (!was_usable) counters_.add(Counter::neighbours_resolved);
  } else if (!was_usable || changed) {
    set_state(*neighbour, State::stale, Nanos::never());
  }
  return neighbour;
}

void Neighbours::confirm(Neighbour& neighbour, Nanos now) {
  if (neighbour.usable()) set_state(neighbour, State::reachable, now + limits_.reachable_time);
}

void Neighbours::pin(InterfaceId interface, const IpAddress& address, Nanos now) {
  Neighbour* neighbour = find(interface, address);
  if (!neighbour) {
    neighbour = make(interface, address);
    if (!neighbour) return;
    set_state(*neighbour, State::incomplete, now);
  }
  neighbour->pinned = true;
}

std::size_t Neighbours::due(std::span<Solicit> out, Nanos now) {
  std::size_t count = 0;
  for (std::uint32_t i = 0; i < std::min(slots_per_sweep, limits_.capacity) && count < out.size(); ++i) {
    sweep_ = (sweep_ + 1) % limits_.capacity;
    if (!pool_.live(sweep_)) continue;
    Neighbour& neighbour = pool_[sweep_];
    if (now < neighbour.deadline) continue;
    if (neighbour.state == State::reachable) set_state(neighbour, State::stale, Nanos::never());
    if (neighbour.pinned && neighbour.tries >= limits_.tries) {
      // A gateway is asked for as long as it is configured; once it is silent, as one whose MAC is not known.
      while (Packet packet = take_waiting(neighbour)) drop(std::move(packet), Counter::drop_no_neighbour, counters_);
      if (neighbour.state == State::probe) counters_.add(Counter::neighbours_failed);
      set_state(neighbour, State::incomplete, now);
      neighbour.tries = 0;
    }
    if (neighbour.state == State::stale && !neighbour.pinned) continue;
    if (neighbour.tries >= limits_.tries) {
      remove(neighbour, Counter::neighbours_failed);
    } else if (used(neighbour, now)) {
      out[count++] = solicit(neighbour);
    }
  }
  return count;
}

void Neighbours::clear() {
  pool_.each([this](Neighbour& neighbour) {
    while (Packet packet = take_waiting(neighbour)) drop(std::move(packet), Counter::drop_no_neighbour, counters_);
    pool_.free(&neighbour);
  });
  std::fill_n(buckets_.get(), bucket_mask_ + 1, nobody);
  unresolved_ = 0;
}

}  // namespace sluice
