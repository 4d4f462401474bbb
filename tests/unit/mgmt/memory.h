// memory.h - how much of the heap is in use, as the allocator counts it.
#pragma once

#include <malloc.h>

#include <cstddef>

namespace sluice::mgmt::test {

// Sanitizers put an allocator of their own in the place of the one that counts.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool heap_is_counted = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool heap_is_counted = false;
#else
inline constexpr bool heap_is_counted = true;
#endif
#else
inline constexpr bool heap_is_counted = true;
#endif

inline std::size_t heap_bytes() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

}  // namespace sluice::mgmt::test
