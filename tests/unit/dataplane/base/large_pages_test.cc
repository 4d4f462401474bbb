#include "dataplane/base/large_pages.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstring>

namespace sluice {
namespace {

TEST(LargePages, AreAskedForInWhatIsLargeAndChangeNothingThere) {
  constexpr std::size_t size = std::size_t{16} << 20;
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto* bytes = static_cast<std::uint8_t*>(memory);
  for (std::size_t i = 0; i < size / 2; i += 4096) bytes[i] = static_cast<std::uint8_t>(i >> 12);  // half is untouched
  EXPECT_GE(use_large_pages(), size - 2 * (std::size_t{2} << 20));
  for (std::size_t i = 0; i < size; i += 4096)
    ASSERT_EQ(bytes[i], i < size / 2 ? static_cast<std::uint8_t>(i >> 12) : 0) << i;
  EXPECT_EQ(munmap(memory, size), 0);
}

}  // namespace
}  // namespace sluice
