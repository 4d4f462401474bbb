// flow_table.h - the live flows of one worker: found by the key of either direction, a burst at a time.
//
// Fixed memory, taken by the constructor. An index of cache-line buckets (10 slots: 16-bit tags compared with SIMD, and
// a reference to flow and direction) leads to flows of two cache lines: addresses, then 64 bytes of ports and state. A
// key lives in one of two buckets and is never moved, so inserting costs two buckets at most; it is refused when both
// are full or all flows are taken. Ageing: expire() walks the flows with a clock hand, a bounded stretch per call; a
// flow past its timeout that expire() has not reached yet is still found, and expired() tells.
//
// One writer: the worker that owns it. Any thread may list() and read size() meanwhile, lock-free: a flow's identity is
// guarded by its sequence number, counters and times are relaxed words. Readers never look at the index.
#pragma once

#include <atomic>
#include <memory>
#include <span>

#include "dataplane/base/units.h"
#include "l4/flow_key.h"
#include "l4/service.h"
#include "l4/shared_word.h"

namespace sluice {

// What was seen of a flow; decides its timeout.
enum class FlowPhase : std::uint8_t { tcp_syn, tcp_established, tcp_fin, tcp_closed, udp_one_way, udp };

// Which of a flow's two keys a packet matched: from the client to the VIP, or from the backend to our local address.
enum class Direction : std::uint8_t { from_client, from_backend };

// The number behind what each side sent furthest, behind its FIN once that has passed: its low half.
struct TcpEnds {
  SharedWord<std::uint16_t> client, backend;
};

// The identity of a flow. Packets client -> vip go on as local -> backend, packets backend -> local as vip -> client.
struct FlowEnds {
  IpAddress client, vip, backend, local;
  std::uint16_t client_port = 0, vip_port = 0, backend_port = 0, local_port = 0;
  ServiceId service = 0;
  EndpointId endpoint = 0;
  Protocol protocol = Protocol::none;
  SharedWord<std::uint8_t> passed_over;  // this and `tcp` are no part of it: the forwarder's notes (flow_phase.h)
  std::uint16_t network = 0;
  TcpEnds tcp;  // here because there is room

  FlowKey key(Direction direction) const {
    return direction == Direction::from_client
               ? FlowKey{client, vip, client_port, vip_port, protocol, 0, network}
               : FlowKey{backend, local, backend_port, local_port, protocol, 0, network};
  }
};

struct alignas(128) Flow {
  FlowEnds ends;                      // written by the table alone
  std::uint32_t sequence = 0;         // odd while `ends` or `live` changes
  SharedWord<std::uint32_t> last_ms;  // last packet, on the clock of the packets' `now`
  SharedWord<std::uint32_t> timeout_ms;
  SharedWord<std::uint32_t> packets_in, packets_out;  // from the client, from the backend; they wrap
  SharedWord<FlowPhase> phase;
  SharedWord<bool> live;
  std::uint8_t seen = 0;        // the forwarder's notes on what was seen (flow_phase.h)
  std::uint8_t generation = 0;  // low bits of the policy generation under which it was last checked
  SharedWord<std::uint64_t> bytes_in, bytes_out;
};
static_assert(sizeof(Flow) == 128);

// What management sees of a flow.
struct FlowRecord {
  FlowEnds ends;
  FlowPhase phase;
  std::uint32_t last_ms, timeout_ms, packets_in, packets_out;
  std::uint64_t bytes_in, bytes_out;
};

// Flow and direction, as the index names them.
struct FlowRef {
  static constexpr std::uint32_t none = ~std::uint32_t{0};
  std::uint32_t bits = none;
  explicit operator bool() const { return bits != none; }
  std::uint32_t index() const { return bits >> 1; }
  Direction direction() const { return static_cast<Direction>(bits & 1); }
};

class FlowTable {
 public:
  static constexpr std::size_t burst_max = 64;
  static constexpr std::uint32_t capacity_max = 1u << 30;

  // `seeds` should be random where an adversary picks keys.
  FlowTable(std::uint32_t capacity, FlowHash seeds);
  ~FlowTable();
  FlowTable(const FlowTable&) = delete;
  FlowTable& operator=(const FlowTable&) = delete;

  // Finds up to burst_max keys behind prefetches; the flows found are in the cache (or on the way) afterwards.
  void find(std::span<const FlowKey> keys, std::span<FlowRef> out) const;
  FlowRef find(const FlowKey& key) const;

  Flow& operator[](FlowRef ref) { return flows_[ref.index()]; }
  Flow& at(std::uint32_t index) { return flows_[index]; }
  std::uint32_t index_of(const Flow& flow) const { return static_cast<std::uint32_t>(&flow - flows_); }

  // Takes a flow. Neither of its keys may be there already. nullptr when it is refused.
  Flow* insert(const FlowEnds& ends, std::uint32_t now_ms, std::uint32_t timeout_ms, FlowPhase phase);
  void remove(Flow& flow);

  static bool expired(const Flow& flow, std::uint32_t now_ms) {
    return now_ms - flow.last_ms.get() >= flow.timeout_ms.get();
  }
  // Looks at the next `budget` flows behind the hand; calls removed(const Flow&) for each that is past its timeout and
  // removes it afterwards.
  template <typename F>
  void expire(std::uint32_t now_ms, std::uint32_t budget, F&& removed) {
    walk(budget, [&](Flow& flow) {
      if (!expired(flow, now_ms)) return;
      removed(std::as_const(flow));
      remove(flow);
    });
  }
  // Calls f(Flow&) for the next `budget` flow places behind the hand that are live.
  template <typename F>
  void walk(std::uint32_t budget, F&& f) {
    if (budget > high_water_) budget = high_water_;
    for (; budget; --budget) {
      if (hand_ >= high_water_) lap();
      if (high_water_ == 0) return;
      __builtin_prefetch(&flows_[hand_ + prefetch_ahead < capacity_ ? hand_ + prefetch_ahead : 0].sequence);
      Flow& flow = flows_[hand_++];
      if (flow.live.get()) {
        high_live_ = hand_;
        f(flow);
      }
    }
  }

  std::uint32_t capacity() const { return capacity_; }
  bool full() const { return free_count_ == 0; }
  std::size_t memory_bytes() const;

  // Any thread:
  std::uint32_t size() const { return size_.load(std::memory_order_relaxed); }
  // Copies live flows from place `from` on into out; returns the place to go on from, or 0 at the end. Flows that come
  // and go meanwhile may be missed; none is torn.
  std::uint32_t list(std::uint32_t from, std::span<FlowRecord> out, std::size_t& count) const;

 private:
  static constexpr unsigned slots = 10;
  static constexpr std::uint32_t prefetch_ahead = 16;
  struct alignas(64) Bucket {
    std::uint16_t tags[slots];  // 0: free
    std::uint16_t spilled;      // keys whose first bucket this is and that live in their second
    std::uint16_t reserved;
    std::uint32_t refs[slots];
  };
  static_assert(sizeof(Bucket) == 64);
  struct Place {  // where a key may live
    std::uint32_t first, second;
    std::uint16_t tag;
  };

  Place place_of(std::uint64_t hash) const;
  static std::uint32_t matches(const Bucket& bucket, std::uint16_t tag);
  bool is(const FlowKey& key, std::uint32_t ref) const;
  FlowRef search(const Bucket& bucket, const FlowKey& key, std::uint16_t tag) const;
  bool link(const FlowKey& key, std::uint32_t ref);
  void unlink(const FlowKey& key, std::uint32_t ref);
  void write_identity(Flow& flow, const FlowEnds& ends, bool live);
  void lap();  // the hand starts again

  FlowHash hash_;
  std::uint32_t capacity_, bucket_count_;
  Flow* flows_;
  Bucket* buckets_;
  std::unique_ptr<std::uint32_t[]> free_;  // stack of free flows
  std::uint32_t free_count_;
  std::uint32_t hand_ = 0;        // next flow that walk() looks at
  std::uint32_t high_water_ = 0;  // no live flow at or above
  std::uint32_t high_live_ = 0;   // above the flows that this lap found live or saw come
  std::atomic<std::uint32_t> size_{0}, readable_{0};
};

}  // namespace sluice
