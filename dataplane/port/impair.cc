#include "dataplane/port/impair.h"

#include <algorithm>
#include <array>

#include "dataplane/packet/checksum.h"

namespace sluice {

namespace {

constexpr std::uint32_t on_the_way_max = 8192;  // frames behind a line that has a rate
constexpr std::size_t ip_at = 14;
constexpr std::uint8_t ecn_bits = 3;  // 0: not capable; 3: congestion experienced

// The place of the ECN bits in an untagged frame of a transport that can be told; 0 when it cannot.
std::size_t ecn_place(const std::uint8_t* bytes, std::size_t size) {
  if (size < ip_at + 20) return 0;
  const bool is4 = bytes[12] == 0x08 && bytes[13] == 0x00, is6 = bytes[12] == 0x86 && bytes[13] == 0xdd;
  if (is4) return bytes[ip_at + 1] & ecn_bits ? ip_at + 1 : 0;
  return is6 && bytes[ip_at + 1] & ecn_bits << 4 ? ip_at + 1 : 0;
}

}  // namespace

// One direction of one queue: decides each frame's fate on entry and keeps it until it is due. The store is a heap by
// (due, order of entry), so that frames due at the same time leave in the order in which they came.
class Impaired::Direction {
 public:
  Direction(const Impairment& spec, std::uint64_t seed) : spec_(spec), rng_(seed) {
    held_.reserve(room() + 1);
    if (spec.rate_bps) leaving_.resize(spec.queue_frames);
  }
  ~Direction() {
    for (const Held& held : held_) free_buffers(held.frame);
  }

  void enter(rte_mbuf* frame, Nanos now) {
    if (in_burst() || rng_.chance_ppm(spec_.loss_ppm)) {
      ++stats.lost;
      free_buffers(frame);
      return;
    }
    if (rng_.chance_ppm(spec_.duplicate_ppm)) {
      if (rte_mbuf* twin = copy(frame)) {
        ++stats.duplicated;
        hold(twin, now);
      }
    }
    hold(frame, now);
  }
  // The next frame that is due, or nullptr.
  rte_mbuf* leave(Nanos now) {
    if (held_.empty() || held_.front().due > now) return nullptr;
    std::pop_heap(held_.begin(), held_.end(), later);
    rte_mbuf* frame = held_.back().frame;
    held_.pop_back();
    ++stats.passed;
    return frame;
  }
  // Back to the front: the port behind did not take it.
  void put_back(rte_mbuf* frame) {
    held_.push_back({Nanos{0}, returned_++, frame});
    std::push_heap(held_.begin(), held_.end(), later);
    --stats.passed;
  }

  ImpairStats stats;

 private:
  struct Held {
    Nanos due;
    std::uint64_t order;
    rte_mbuf* frame;
  };
  static bool later(const Held& a, const Held& b) { return a.due != b.due ? a.due > b.due : a.order > b.order; }
  // A copy in buffers of the pool that the frame's data is from; nullptr when there is none.
  static rte_mbuf* copy(const rte_mbuf* frame) {
    rte_mempool* pool =
        RTE_MBUF_CLONED(frame) ? rte_mbuf_from_indirect(const_cast<rte_mbuf*>(frame))->pool : frame->pool;
    rte_mbuf* twin = rte_pktmbuf_copy(frame, pool, 0, UINT32_MAX);
    if (!twin) return nullptr;
    new (rte_mbuf_to_priv(twin)) Meta{};
    twin->ol_flags = frame->ol_flags & ~(RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL);
    twin->tx_offload = frame->tx_offload;
    return twin;
  }

  // How many frames may be held.
  std::size_t room() const { return spec_.queue_frames + (spec_.rate_bps ? on_the_way_max : 0); }

  bool in_burst() {
    if (!spec_.burst_ppm) return false;
    if (!burst_) {
      burst_ = rng_.chance_ppm(spec_.burst_ppm);
      stats.burst_lost += burst_;
      return burst_;
    }
    burst_ = !rng_.chance_ppm(spec_.burst_end_ppm);
    ++stats.burst_lost;
    return true;
  }

  // Frames that wait for the line: a ring of the times at which they have left it.
  std::size_t waiting(Nanos now) {
    while (waiting_ && leaving_[(first_ + leaving_.size() - waiting_) % leaving_.size()] <= now) --waiting_;
    return waiting_;
  }

  void hold(rte_mbuf* frame, Nanos now) {
    const std::size_t before = spec_.rate_bps ? waiting(now) : held_.size();
    if (before >= spec_.queue_frames || held_.size() >= room()) {
      ++stats.overflowed;
      free_buffers(frame);
      return;
    }
    if (rng_.chance_ppm(spec_.corrupt_ppm)) corrupt(frame);
    if (spec_.mark_frames && before >= spec_.mark_frames) mark(frame);
    Nanos sent = now;
    if (spec_.rate_bps) {
      sent = line_free_ =
          std::max(line_free_, now) +
          Nanos{static_cast<std::int64_t>(std::uint64_t{frame->pkt_len} * 8 * 1'000'000'000 / spec_.rate_bps)};
      leaving_[first_] = sent;
      first_ = (first_ + 1) % leaving_.size();
      ++waiting_;
    }
    Nanos due = sent + spec_.delay;
    if (spec_.jitter.ns)
      due += Nanos{static_cast<std::int64_t>(rng_.next() % static_cast<std::uint64_t>(spec_.jitter.ns + 1))};
    if (rng_.chance_ppm(spec_.reorder_ppm)) {
      ++stats.reordered;
      due += spec_.reorder_delay;
    }
    held_.push_back({due, order_++, frame});
    std::push_heap(held_.begin(), held_.end(), later);
  }
  // Flips one bit behind the Ethernet header, in a buffer that is ours alone.
  void corrupt(rte_mbuf*& frame) {
    if (frame->pkt_len <= ip_at || !make_own(frame)) return;
    const std::uint32_t bit = rng_.below((frame->data_len - 14u) * 8);
    rte_pktmbuf_mtod(frame, std::uint8_t*)[ip_at + bit / 8] ^= static_cast<std::uint8_t>(1u << (bit & 7));
    ++stats.corrupted;
  }
  // A router whose queue is long says so in the frame (RFC 3168 5); the IPv4 checksum follows.
  void mark(rte_mbuf*& frame) {
    if (!ecn_place(rte_pktmbuf_mtod(frame, const std::uint8_t*), frame->data_len) || !make_own(frame)) return;
    std::uint8_t* bytes = rte_pktmbuf_mtod(frame, std::uint8_t*);
    if (bytes[12] == 0x86) {
      bytes[ip_at + 1] |= ecn_bits << 4;
    } else {
      bytes[ip_at + 1] |= ecn_bits;
      const std::size_t header = (bytes[ip_at] & 15) * 4u;
      const Be16 none{};
      std::memcpy(bytes + ip_at + 10, &none, 2);
      const Be16 sum = checksum(add_bytes(0, {bytes + ip_at, header}));
      std::memcpy(bytes + ip_at + 10, &sum, 2);
    }
    ++stats.marked;
  }
  // Makes a frame one that may be written to. False, and nothing changed, when there is no buffer for it.
  static bool make_own(rte_mbuf*& frame) {
    if (sole_owner(frame) && frame->nb_segs == 1) return true;
    rte_mbuf* own = copy(frame);
    if (!own) return false;
    free_buffers(frame);
    frame = own;
    return true;
  }

  const Impairment spec_;
  Rng rng_;
  std::vector<Held> held_;
  Nanos line_free_{};
  std::vector<Nanos> leaving_;  // the line's queue, a ring that ends before first_
  std::size_t first_ = 0, waiting_ = 0;
  bool burst_ = false;
  std::uint64_t order_ = std::uint64_t{1} << 63;
  std::uint64_t returned_ = 0;
};

Impaired::Impaired(std::unique_ptr<Port> inner, const ImpairSpec& spec) : inner_(std::move(inner)) {
  caps_ = inner_->caps();
  for (std::uint16_t queue = 0; queue < caps_.queues; ++queue) {
    receive_.push_back(std::make_unique<Direction>(spec.receive, spec.seed * 1000 + queue * 2));
    transmit_.push_back(std::make_unique<Direction>(spec.transmit, spec.seed * 1000 + queue * 2 + 1));
  }
}

Impaired::~Impaired() = default;

std::uint16_t Impaired::receive(std::uint16_t queue, std::span<rte_mbuf*> out, Nanos now) {
  flush(queue, now);
  Direction& direction = *receive_[queue];
  std::array<rte_mbuf*, 64> burst;
  const std::uint16_t came = inner_->receive(queue, burst, now);
  for (rte_mbuf* frame : std::span{burst}.first(came)) direction.enter(frame, now);
  std::uint16_t n = 0;
  while (n < out.size()) {
    rte_mbuf* frame = direction.leave(now);
    if (!frame) break;
    out[n++] = frame;
  }
  return n;
}

std::uint16_t Impaired::transmit(std::uint16_t queue, std::span<rte_mbuf*> frames, Nanos now) {
  for (rte_mbuf* frame : frames) transmit_[queue]->enter(frame, now);
  flush(queue, now);
  return static_cast<std::uint16_t>(frames.size());
}

void Impaired::flush(std::uint16_t queue, Nanos now) {
  Direction& direction = *transmit_[queue];
  while (rte_mbuf* frame = direction.leave(now)) {
    if (inner_->transmit(queue, {&frame, 1}, now) == 1) continue;
    direction.put_back(frame);
    return;
  }
}

namespace {
ImpairStats sum(ImpairStats a, const ImpairStats& b) {
  return {a.passed + b.passed,         a.lost + b.lost,           a.duplicated + b.duplicated,
          a.corrupted + b.corrupted,   a.reordered + b.reordered, a.overflowed + b.overflowed,
          a.burst_lost + b.burst_lost, a.marked + b.marked};
}
}  // namespace

ImpairStats Impaired::received() const {
  ImpairStats all;
  for (const auto& direction : receive_) all = sum(all, direction->stats);
  return all;
}

ImpairStats Impaired::transmitted() const {
  ImpairStats all;
  for (const auto& direction : transmit_) all = sum(all, direction->stats);
  return all;
}

}  // namespace sluice
