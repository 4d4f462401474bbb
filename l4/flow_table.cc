#include "l4/flow_table.h"

#include <immintrin.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <new>

namespace sluice {

namespace {

// Zeroed memory for the life of a table, on huge pages where the kernel gives them; touched at once, so that no
// turn meets a page fault.
template <typename T>
T* take_memory(std::size_t count) {
  const std::size_t bytes = sizeof(T) * count;
  void* memory = ::operator new(bytes, std::align_val_t{bytes >= 2u << 20 ? 2u << 20 : alignof(T)});
  if (bytes >= 2u << 20) madvise(memory, bytes, MADV_HUGEPAGE);
  std::memset(memory, 0, bytes);
  return static_cast<T*>(memory);
}

template <typename T>
void give_memory(T* memory, std::size_t count) {
  ::operator delete(memory, std::align_val_t{sizeof(T) * count >= 2u << 20 ? 2u << 20 : alignof(T)});
}

constexpr std::uint32_t spread(std::uint32_t hash, std::uint32_t count) {
  return static_cast<std::uint32_t>(std::uint64_t{hash} * count >> 32);
}

// Copies what readers may copy meanwhile, word by word.
using Words = std::array<std::uint64_t, sizeof(FlowEnds) / 8>;
static_assert(sizeof(FlowEnds) % 8 == 0);

}  // namespace

FlowTable::FlowTable(std::uint32_t capacity, FlowHash seeds) : hash_(seeds), capacity_(capacity) {
  CHECK(capacity > 0 && capacity <= capacity_max);
  // Two keys a flow, and 6 of 10 slots taken on average when the table is full: no key then finds both its buckets
  // full.
  bucket_count_ = capacity / 6 * 2 + 4;
  flows_ = take_memory<Flow>(capacity);
  buckets_ = take_memory<Bucket>(bucket_count_);
  free_ = std::make_unique<std::uint32_t[]>(capacity);
  for (std::uint32_t i = 0; i < capacity; ++i) free_[i] = capacity - 1 - i;
  free_count_ = capacity;
}

FlowTable::~FlowTable() {
  give_memory(flows_, capacity_);
  give_memory(buckets_, bucket_count_);
}

std::size_t FlowTable::memory_bytes() const {
  return std::size_t{capacity_} * (sizeof(Flow) + sizeof(std::uint32_t)) + std::size_t{bucket_count_} * sizeof(Bucket);
}

FlowTable::Place FlowTable::place_of(std::uint64_t hash) const {
  const auto tag = static_cast<std::uint16_t>(hash);
  const std::uint32_t first = spread(static_cast<std::uint32_t>(hash >> 32), bucket_count_);
  const std::uint32_t second = spread(static_cast<std::uint32_t>(hash) * 0x9e3779b1u, bucket_count_);
  return {first, second != first ? second : (first + 1) % bucket_count_, tag ? tag : std::uint16_t{1}};
}

// A bit for each slot whose tag matches. Tags of slots 8 and 9 stand in the second half-load; what follows them is cut
// off.
std::uint32_t FlowTable::matches(const Bucket& bucket, std::uint16_t tag) {
  const __m256i tags = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bucket.tags));
  const __m256i equal = _mm256_cmpeq_epi16(tags, _mm256_set1_epi16(static_cast<short>(tag)));
  const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(equal), _mm256_extracti128_si256(equal, 1));
  return static_cast<std::uint32_t>(_mm_movemask_epi8(bytes)) & ((1u << slots) - 1);
}

bool FlowTable::is(const FlowKey& key, std::uint32_t ref) const {
  return flows_[ref >> 1].ends.key(static_cast<Direction>(ref & 1)) == key;
}

FlowRef FlowTable::search(const Bucket& bucket, const FlowKey& key, std::uint16_t tag) const {
  for (std::uint32_t hits = matches(bucket, tag); hits; hits &= hits - 1) {
    const std::uint32_t ref = bucket.refs[std::countr_zero(hits)];
    if (is(key, ref)) return {ref};
  }
  return {};
}

FlowRef FlowTable::find(const FlowKey& key) const {
  const Place place = place_of(hash_(key));
  const Bucket& first = buckets_[place.first];
  const FlowRef ref = search(first, key, place.tag);
  if (ref || first.spilled == 0) return ref;
  return search(buckets_[place.second], key, place.tag);
}

void FlowTable::find(std::span<const FlowKey> keys, std::span<FlowRef> out) const {
  DCHECK(keys.size() <= burst_max && out.size() >= keys.size());
  std::array<Place, burst_max> places;
  // Three passes, each behind the prefetches of the one before: buckets, flows, keys compared.
  for (std::size_t i = 0; i < keys.size(); ++i) {
    places[i] = place_of(hash_(keys[i]));
    __builtin_prefetch(&buckets_[places[i].first]);
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const Bucket& bucket = buckets_[places[i].first];
    if (const std::uint32_t hits = matches(bucket, places[i].tag)) {
      const Flow& flow = flows_[bucket.refs[std::countr_zero(hits)] >> 1];
      __builtin_prefetch(&flow);
      __builtin_prefetch(reinterpret_cast<const std::byte*>(&flow) + 64);
    } else if (bucket.spilled) {
      __builtin_prefetch(&buckets_[places[i].second]);
    }
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const Bucket& first = buckets_[places[i].first];
    out[i] = search(first, keys[i], places[i].tag);
    if (!out[i] && first.spilled) [[unlikely]]
      out[i] = search(buckets_[places[i].second], keys[i], places[i].tag);
  }
}

bool FlowTable::link(const FlowKey& key, std::uint32_t ref) {
  const Place place = place_of(hash_(key));
  Bucket &first = buckets_[place.first], &second = buckets_[place.second];
  const std::uint32_t free_first = matches(first, 0), free_second = matches(second, 0);
  // The first bucket, until it is nearly full and the second is emptier.
  const bool spill =
      !free_first || (std::popcount(free_first) <= 3 && std::popcount(free_second) > std::popcount(free_first));
  if (spill && (!free_second || first.spilled == 0xffff)) return false;
  Bucket& bucket = spill ? second : first;
  const int slot = std::countr_zero(spill ? free_second : free_first);
  bucket.tags[slot] = place.tag;
  bucket.refs[slot] = ref;
  if (spill) ++first.spilled;
  return true;
}

void FlowTable::unlink(const FlowKey& key, std::uint32_t ref) {
  const Place place = place_of(hash_(key));
  Bucket& first = buckets_[place.first];
  for (Bucket* bucket : {&first, &buckets_[place.second]}) {
    for (std::uint32_t hits = matches(*bucket, place.tag); hits; hits &= hits - 1) {
      const int slot = std::countr_zero(hits);
      if (bucket->refs[slot] != ref) continue;
      bucket->tags[slot] = 0;
      if (bucket != &first) --first.spilled;
      return;
    }
  }
  CHECK(false && "a live flow is in the index");
}

// The writer's half of the sequence lock: odd, then the words, then even. Readers: list().
void FlowTable::write_identity(Flow& flow, const FlowEnds& ends, bool live) {
  std::atomic_ref sequence{flow.sequence};
  const std::uint32_t before = sequence.load(std::memory_order_relaxed);
  sequence.store(before + 1, std::memory_order_relaxed);
  // A release store of each word keeps it behind the odd number; on x86 that is a plain move.
  const Words words = std::bit_cast<Words>(ends);
  auto* at = reinterpret_cast<std::uint64_t*>(&flow.ends);
  for (std::size_t i = 0; i < words.size(); ++i) std::atomic_ref{at[i]}.store(words[i], std::memory_order_release);
  std::atomic_ref<bool>(reinterpret_cast<bool&>(flow.live)).store(live, std::memory_order_release);
  sequence.store(before + 2, std::memory_order_release);
}

Flow* FlowTable::insert(const FlowEnds& ends, std::uint32_t now_ms, std::uint32_t timeout_ms, FlowPhase phase) {
  if (free_count_ == 0) return nullptr;
  const std::uint32_t index = free_[free_count_ - 1];
  const std::uint32_t client_ref = index << 1 | static_cast<std::uint32_t>(Direction::from_client);
  const std::uint32_t backend_ref = index << 1 | static_cast<std::uint32_t>(Direction::from_backend);
  if (!link(ends.key(Direction::from_client), client_ref)) return nullptr;
  if (!link(ends.key(Direction::from_backend), backend_ref)) {
    unlink(ends.key(Direction::from_client), client_ref);
    return nullptr;
  }
  --free_count_;
  Flow& flow = flows_[index];
  flow.last_ms.set(now_ms);
  flow.timeout_ms.set(timeout_ms);
  flow.phase.set(phase);
  flow.packets_in.set(0);
  flow.packets_out.set(0);
  flow.bytes_in.set(0);
  flow.bytes_out.set(0);
  flow.seen = 0;
  flow.generation = 0;
  write_identity(flow, ends, true);
  high_water_ = std::max(high_water_, index + 1);
  high_live_ = std::max(high_live_, index + 1);
  readable_.store(high_water_, std::memory_order_release);
  size_.store(capacity_ - free_count_, std::memory_order_relaxed);
  return &flow;
}

void FlowTable::remove(Flow& flow) {
  DCHECK(flow.live.get());
  const std::uint32_t index = index_of(flow);
  unlink(flow.ends.key(Direction::from_client), index << 1 | static_cast<std::uint32_t>(Direction::from_client));
  unlink(flow.ends.key(Direction::from_backend), index << 1 | static_cast<std::uint32_t>(Direction::from_backend));
  write_identity(flow, flow.ends, false);
  free_[free_count_++] = index;
  size_.store(capacity_ - free_count_, std::memory_order_relaxed);
}

void FlowTable::lap() {
  hand_ = 0;
  high_water_ = high_live_;
  high_live_ = 0;
  readable_.store(high_water_, std::memory_order_release);
}

std::uint32_t FlowTable::list(std::uint32_t from, std::span<FlowRecord> out, std::size_t& count) const {
  count = 0;
  const std::uint32_t end = readable_.load(std::memory_order_acquire);
  for (; from < end && count < out.size(); ++from) {
    Flow& flow = flows_[from];
    std::atomic_ref sequence{flow.sequence};
    const std::uint32_t before = sequence.load(std::memory_order_acquire);
    if ((before & 1) || !flow.live.get()) continue;
    Words words;
    auto* at = reinterpret_cast<std::uint64_t*>(&flow.ends);
    for (std::size_t i = 0; i < words.size(); ++i) words[i] = std::atomic_ref{at[i]}.load(std::memory_order_acquire);
    if (sequence.load(std::memory_order_relaxed) != before) continue;
    out[count++] = {std::bit_cast<FlowEnds>(words), flow.phase.get(),       flow.last_ms.get(),  flow.timeout_ms.get(),
                    flow.packets_in.get(),          flow.packets_out.get(), flow.bytes_in.get(), flow.bytes_out.get()};
  }
  return from < end ? from : 0;
}

}  // namespace sluice
