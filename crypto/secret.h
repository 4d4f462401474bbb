// secret.h - bytes that must not outlive their use.
// A Secret is wiped when it dies and compares in constant time. Secrets are never logged; the pools that hold them are
// locked in memory where the process may (lock_memory).
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/base/bytes.h"

namespace sluice {

// Overwrites bytes in a way that the compiler does not leave out.
void wipe(void* memory, std::size_t size);
inline void wipe(MutableBytes bytes) { wipe(bytes.data(), bytes.size()); }

// Equality that takes the same time whatever the bytes are. Different sizes are unequal.
bool equal_in_constant_time(ByteView a, ByteView b);

// Keeps a region out of swap and core dumps; false where the process may not (RLIMIT_MEMLOCK). At start only.
bool lock_memory(void* memory, std::size_t size);

// At most `capacity` secret bytes, in place.
template <std::size_t capacity>
class Secret {
 public:
  Secret() = default;
  explicit Secret(ByteView in) { assign(in); }
  Secret(const Secret&) = default;
  Secret& operator=(const Secret&) = default;
  ~Secret() { clear(); }

  void assign(ByteView in) {
    CHECK(in.size() <= capacity);
    clear();
    if (!in.empty()) std::memcpy(bytes_.data(), in.data(), in.size());
    size_ = static_cast<std::uint8_t>(in.size());
  }
  // Room for exactly n bytes, to be written by the caller.
  MutableBytes resize(std::size_t n) {
    CHECK(n <= capacity);
    clear();
    size_ = static_cast<std::uint8_t>(n);
    return {bytes_.data(), n};
  }
  void clear() {
    wipe(bytes_.data(), bytes_.size());
    size_ = 0;
  }
  ByteView view() const { return {bytes_.data(), size_}; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  static_assert(capacity <= 255);
  std::array<std::uint8_t, capacity> bytes_{};
  std::uint8_t size_ = 0;
};

}  // namespace sluice
