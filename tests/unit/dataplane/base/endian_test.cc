#include "dataplane/base/endian.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(Endian, TheMostSignificantByteStandsFirst) {
  const Be16 two{0x0102};
  const Be32 four{0x01020304};
  const Be64 eight{0x0102030405060708};
  EXPECT_EQ(std::memcmp(&two, "\x01\x02", 2), 0);
  EXPECT_EQ(std::memcmp(&four, "\x01\x02\x03\x04", 4), 0);
  EXPECT_EQ(std::memcmp(&eight, "\x01\x02\x03\x04\x05\x06\x07\x08", 8), 0);
  EXPECT_EQ(two.get(), 0x0102);
  EXPECT_EQ(four.get(), 0x01020304u);
  EXPECT_EQ(eight.get(), 0x0102030405060708u);
  EXPECT_EQ(four.raw(), 0x04030201u) << "as a little-endian machine loads it";
}

TEST(Endian, StandsAnywhere) {
  struct Odd {
    std::uint8_t before;
    Be32 value;
  };
  static_assert(sizeof(Odd) == 5);
  const char wire[] = "x\x00\x00\x12\x34";
  Odd odd;
  std::memcpy(&odd, wire, sizeof odd);
  EXPECT_EQ(odd.value.get(), 0x1234u);
  odd.value.set(0xaabbccdd);
  EXPECT_EQ(odd.value, Be32{0xaabbccdd});
  EXPECT_NE(odd.value, Be32{0xaabbccde});
}

TEST(Endian, EveryByteCountsInAComparison) {
  const Be64 value{0x0102030405060708};
  EXPECT_EQ(value, Be64{0x0102030405060708});
  for (int bit = 0; bit < 64; ++bit) EXPECT_NE(value, Be64{0x0102030405060708 ^ std::uint64_t{1} << bit}) << bit;
}

}  // namespace
}  // namespace sluice
