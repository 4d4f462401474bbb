// key_table.h - from a key's hash to what has that key: a fixed hash table of 32-bit values in buckets of one cache
// line, twelve entries each, told apart by an 8-bit tag. A value that does not fit its first bucket goes to its second;
// when both are full, insert() refuses (counted by the caller), so a lookup touches two lines at most. The keys stand
// in the objects that the values name: find() asks the caller. One owner thread.
#pragma once

#include <emmintrin.h>

#include <bit>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "dataplane/base/check.h"

namespace sluice::tcp {

class KeyTable {
 public:
  // Room for `capacity` values at half load.
  explicit KeyTable(std::uint32_t capacity)
      : mask_(std::bit_ceil(capacity / 6 + 2) - 1), buckets_(new Bucket[mask_ + 1]) {}

  [[gnu::always_inline]] void prefetch(std::uint64_t hash) const { __builtin_prefetch(&buckets_[first(hash)]); }

  // A value that may have that hash, or `none`: to prefetch what it names.
  std::uint32_t candidate(std::uint64_t hash) const {
    const Bucket& bucket = buckets_[first(hash)];
    const unsigned hits = bucket.hits(tag(hash));
    return hits ? bucket.values[std::countr_zero(hits)] : none;
  }

  // The value with that hash for which match(value) is true, or `none`.
  template <typename Match>
  std::uint32_t find(std::uint64_t hash, Match&& match) const {
    const Bucket& bucket = buckets_[first(hash)];
    for (unsigned hits = bucket.hits(tag(hash)); hits; hits &= hits - 1) {
      const std::uint32_t value = bucket.values[std::countr_zero(hits)];
      if (match(value)) return value;
    }
    if (bucket.spilled == 0) return none;
    for (unsigned n = 0; n < others; ++n) {
      const Bucket& other = buckets_[further(hash, n)];
      for (unsigned hits = other.hits(tag(hash)); hits; hits &= hits - 1) {
        const std::uint32_t value = other.values[std::countr_zero(hits)];
        if (match(value)) return value;
      }
    }
    return none;
  }
  // The caller knows that the key is not there yet. False: no room.
  bool insert(std::uint64_t hash, std::uint32_t value) {
    Bucket& bucket = buckets_[first(hash)];
    if (bucket.put(tag(hash), value)) return true;
    if (bucket.spilled == 0xffff) return false;
    const bool put = in_others(hash, [&](Bucket& other) { return other.put(tag(hash), value); });
    bucket.spilled += put;
    return put;
  }
  // Removes or replaces a value that is there.
  void erase(std::uint64_t hash, std::uint32_t value) {
    Bucket& bucket = buckets_[first(hash)];
    if (bucket.remove(tag(hash), value)) return;
    CHECK(bucket.spilled > 0 && in_others(hash, [&](Bucket& other) { return other.remove(tag(hash), value); }));
    --bucket.spilled;
  }
  void replace(std::uint64_t hash, std::uint32_t value, std::uint32_t with) {
    if (!buckets_[first(hash)].exchange(tag(hash), value, with))
      CHECK(in_others(hash, [&](Bucket& other) { return other.exchange(tag(hash), value, with); }));
  }

  static constexpr std::uint32_t none = ~std::uint32_t{0};

 private:
  static constexpr unsigned ways = 12, others = 4;
  struct alignas(64) Bucket {
    std::uint8_t tags[ways] = {};  // 0: free
    std::uint16_t spilled = 0;     // values of this bucket that stand in others
    std::uint16_t unused = 0;
    std::uint32_t values[ways] = {};

    unsigned hits(std::uint8_t tag) const {
      const __m128i line = _mm_load_si128(reinterpret_cast<const __m128i*>(this));
      return static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(line, _mm_set1_epi8(static_cast<char>(tag))))) &
             ((1u << ways) - 1);
    }
    bool put(std::uint8_t tag, std::uint32_t value) {
      const unsigned free = hits(0);
      if (!free) return false;
      const int at = std::countr_zero(free);
      tags[at] = tag;
      values[at] = value;
      return true;
    }
    int where(std::uint8_t tag, std::uint32_t value) const {
      for (unsigned found = hits(tag); found; found &= found - 1)
        if (const int at = std::countr_zero(found); values[at] == value) return at;
      return -1;
    }
    bool remove(std::uint8_t tag, std::uint32_t value) {
      const int at = where(tag, value);
      if (at < 0) return false;
      tags[at] = 0;
      return true;
    }
    bool exchange(std::uint8_t tag, std::uint32_t value, std::uint32_t with) {
      const int at = where(tag, value);
      if (at < 0) return false;
      values[at] = with;
      return true;
    }
  };
  static_assert(sizeof(Bucket) == 64);

  static std::uint8_t tag(std::uint64_t hash) { return static_cast<std::uint8_t>(hash >> 56) ? hash >> 56 : 1; }
  std::size_t first(std::uint64_t hash) const { return hash & mask_; }
  // The nth of the other buckets.
  std::size_t further(std::uint64_t hash, unsigned n) const { return ((hash >> 28 ^ hash * 0x9e3779b1) + n) & mask_; }
  // Whether act() succeeded in one of them.
  template <typename Act>
  bool in_others(std::uint64_t hash, Act&& act) {
    for (unsigned n = 0; n < others; ++n)
      if (act(buckets_[further(hash, n)])) return true;
    return false;
  }

  std::size_t mask_;
  std::unique_ptr<Bucket[]> buckets_;
};

}  // namespace sluice::tcp
