// What the way of one connection takes: told by ICMP (RFC 1191, RFC 8201), or found out by what vanishes and what
// arrives (RFC 4821, RFC 8899). The connection's `mss` follows; what was too large is sent again at once, and the
// congestion window is left alone, because nothing says that there is congestion.
#include <bit>

#include "l4/tcp/emit.h"
#include "l4/tcp/engine.h"
#include "l4/tcp/recovery.h"

namespace sluice::tcp {

namespace {

constexpr std::uint16_t base_mss4 = 1024, base_mss6 = 1220, floor_mss4 = 512;
constexpr std::uint16_t close_enough = 32;  // a search ends here
constexpr Nanos search_again = 600_s;       // RFC 4821 7.3: the path may have become better

std::uint16_t timestamp_size(const Tcb& t) { return t.timestamps ? 12 : 0; }

// The MSS that all but the search allows.
std::uint16_t full_mss(const Tcb& t, const Core& core, Nanos now) {
  const std::uint32_t headers = ip_header_size(t.key) + 20;
  const std::uint16_t told = core.path_mtus.find(t.key.remote, now);
  return told ? static_cast<std::uint16_t>(std::min<std::uint32_t>(t.peer_mss, told - headers)) : t.peer_mss;
}

// Ends a search, or lets the next size be tried.
void search_on(Tcb& t, const Core& core, Nanos now) {
  t.mtu_probe_out = false;
  sync_mss(t, core, now);
  const std::uint16_t full = full_mss(t, core, now);
  if (t.search_mss >= full) t.search_mss = t.search_high = 0;
  else if (t.search_high && t.search_high < t.search_mss + close_enough) {
    t.search_high = 0;
    t.search_at = now + search_again;
  }
  sync_mss(t, core, now);
}

// Without a retransmission timeout nobody else would send them again: they are gone.
void send_too_large_again(Tcb& t, Core& core) {
  const std::uint32_t before = t.transit->board.lost_ever();
  for (std::uint32_t i = t.transit->board.head(); i != no_slot; i = core.records[i].next)
    if (core.records[i].size() > t.segment_size) t.transit->board.mark_lost(core.records, i);
  if (t.transit->board.lost_ever() == before) return;
  repair_without_reduction(t);
}

}  // namespace

PathMtus::PathMtus(const SipHash::Key& secret, std::uint32_t capacity)
    : sip_(secret), mask_(std::bit_ceil(std::max(capacity / ways, 1u)) - 1), entries_(new Entry[(mask_ + 1) * ways]) {}

std::uint16_t PathMtus::find(const IpAddress& remote, Nanos now) const {
  if (size_ == 0) return 0;
  const Entry* entries = bucket(remote);
  for (std::uint32_t i = 0; i < ways; ++i)
    if (entries[i].mtu && entries[i].remote == remote) return entries[i].until > now ? entries[i].mtu : 0;
  return 0;
}

void PathMtus::learn(const IpAddress& remote, std::uint16_t mtu, Nanos now) {
  Entry* entries = bucket(remote);
  Entry* place = entries;
  for (std::uint32_t i = 0; i < ways; ++i) {
    if (entries[i].mtu && entries[i].remote == remote) {
      place = &entries[i];
      break;
    }
    if (!entries[i].mtu || (place->mtu && entries[i].until < place->until)) place = &entries[i];
  }
  size_ += place->mtu == 0;
  *place = {remote, now + lasts, mtu};
  next_ = std::min(next_, place->until);
  ++version_;
}

void PathMtus::expire(Nanos now) {
  if (next_ > now) return;
  next_ = Nanos::never();
  for (std::uint32_t i = 0; i < (mask_ + 1) * ways; ++i) {
    Entry& entry = entries_[i];
    if (!entry.mtu) continue;
    if (entry.until <= now) {
      entry.mtu = 0;
      --size_;
      ++version_;
    } else {
      next_ = std::min(next_, entry.until);
    }
  }
}

void sync_mss(Tcb& t, const Core& core, Nanos now) {
  t.pmtu_version = core.path_mtus.version();
  const std::uint16_t full = full_mss(t, core, now);
  t.mss = std::max<std::uint16_t>(t.search_mss ? std::min(t.search_mss, full) : full, 48);
  t.segment_size = static_cast<std::uint16_t>(std::max(t.mss - timestamp_size(t), 8));
}

bool path_mtu_told(Tcb& t, Core& core, std::uint16_t mtu, Nanos now) {
  const bool v4 = t.key.local.is_v4();
  if (!v4 && mtu < PathMtus::ip6_least) return false;  // RFC 8201 4: to be discarded
  mtu = std::max(mtu, v4 ? PathMtus::ip4_least : mtu);
  if (mtu - ip_header_size(t.key) - 20 >= t.mss) return false;  // no news, or a lie that it grew
  core.path_mtus.learn(t.key.remote, mtu, now);
  core.counters.add(Counter::tcp_pmtu_reduced);
  t.mtu_probe_out = false;
  sync_mss(t, core, now);
  send_too_large_again(t, core);
  return true;
}

void suspect_black_hole(Tcb& t, Core& core, Nanos now) {
  if (!core.config.black_hole_detection || t.back_off < 2 || t.transit->board.empty()) return;
  const std::uint16_t base = t.key.local.is_v4() ? (t.back_off < 4 ? base_mss4 : floor_mss4) : base_mss6;
  const Record& head = core.records[t.transit->board.head()];
  if (t.mss <= base || static_cast<std::uint32_t>(head.end - head.begin) + timestamp_size(t) <= base) return;
  core.counters.add(Counter::tcp_black_holes);
  t.search_mss = base;
  t.search_high = 0;
  t.search_at = now + search_again;
  sync_mss(t, core, now);
}

std::uint16_t mtu_probe_size(const Tcb& t, const Core& core, std::uint32_t link_mss, Nanos now) {
  if (!t.search_mss || !(t.search_at <= now) || t.mtu_probe_out || t.mode != Mode::open || t.transit->board.lost())
    return 0;
  const auto full = static_cast<std::uint16_t>(std::min<std::uint32_t>(full_mss(t, core, now), link_mss));
  if (full <= t.search_mss) return 0;
  // The whole first: most often the path is well again. Then halves.
  const std::uint32_t middle = (std::uint32_t{t.search_mss} + t.search_high + 1) / 2;
  const auto size =
      static_cast<std::uint16_t>((t.search_high ? std::min<std::uint32_t>(middle, full) : full) - timestamp_size(t));
  // It must not be alone: what follows shows that it is missing (RFC 4821 7.4).
  if (t.unsent() < size + 4u * t.mss || t.transit->board.in_flight() + 2 > t.congestion.cwnd()) return 0;
  if ((t.snd_una + t.snd_wnd) - t.snd_nxt < static_cast<std::int32_t>(size + 4u * t.mss)) return 0;
  return size;
}

void mtu_probe_sent(Tcb& t, Core& core, std::uint16_t size) {
  t.mtu_probe_out = true;
  t.transit->mtu_probe_end = t.snd_nxt;
  t.transit->mtu_probe_mss = static_cast<std::uint16_t>(size + timestamp_size(t));
  core.counters.add(Counter::tcp_mtu_probes);
}

void mtu_probe_acknowledged(Tcb& t, Core& core, Nanos now) {
  if (t.snd_una < t.transit->mtu_probe_end) return;
  core.counters.add(Counter::tcp_mtu_probes_answered);
  t.search_mss = t.transit->mtu_probe_mss;
  search_on(t, core, now);
}

void mtu_probe_failed(Tcb& t, Core& core, Nanos now) {
  t.search_high = static_cast<std::uint16_t>(t.transit->mtu_probe_mss - 1);
  search_on(t, core, now);
}

bool mtu_probe_lost(Tcb& t, Core& core, Nanos now) {
  const std::uint32_t first = t.transit->board.first_lost(core.records);
  if (first == no_slot) return false;
  const Record& record = core.records[first];
  if (record.end != t.transit->mtu_probe_end || t.transit->board.lost() != record.segments) return false;
  mtu_probe_failed(t, core, now);
  return true;
}

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/path_mtu_test.cc.
