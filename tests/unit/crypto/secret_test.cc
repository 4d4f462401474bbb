#include "crypto/secret.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <new>

namespace sluice {
namespace {

TEST(Secret, IsWipedWhenItDies) {
  alignas(Secret<48>) std::array<std::uint8_t, sizeof(Secret<48>)> memory{};
  auto* secret = new (memory.data()) Secret<48>{bytes("0123456789abcdef")};
  EXPECT_EQ(text(secret->view()), "0123456789abcdef");
  secret->~Secret();
  EXPECT_TRUE(std::all_of(memory.begin(), memory.begin() + 48, [](std::uint8_t b) { return b == 0; }));
}

TEST(Secret, AssigningAShorterOneLeavesNothingOfTheOlder) {
  Secret<32> secret{bytes("a long secret of a connection")};
  secret.assign(bytes("short"));
  EXPECT_EQ(text(secret.view()), "short");
  EXPECT_EQ(std::search_n(secret.view().data(), secret.view().data() + 5, 1, 0), secret.view().data() + 5);
  const std::uint8_t* behind = secret.view().data() + 5;
  EXPECT_TRUE(std::all_of(behind, behind + 27, [](std::uint8_t b) { return b == 0; }));
}

TEST(Secret, EqualityLooksAtAllBytesAndTheSize) {
  EXPECT_TRUE(equal_in_constant_time(bytes("abc"), bytes("abc")));
  EXPECT_FALSE(equal_in_constant_time(bytes("abc"), bytes("abd")));
  EXPECT_FALSE(equal_in_constant_time(bytes("abc"), bytes("ab")));
  EXPECT_TRUE(equal_in_constant_time({}, {}));
}

TEST(Secret, MemoryCanBeLocked) {
  std::array<std::uint8_t, 4096> page{};
  EXPECT_TRUE(lock_memory(page.data(), page.size()));
}

}  // namespace
}  // namespace sluice
