#include "dataplane/base/bytes.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(Load, TakesAsManyBytesAsTheTypeHasFromAnyAddress) {
  const std::uint8_t raw[] = {0xff, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0xff};
  EXPECT_EQ(load<std::uint8_t>(raw + 1), 0x01);
  EXPECT_EQ(load<std::uint16_t>(raw + 1), 0x0201) << "little-endian, as the machine is";
  EXPECT_EQ(load<std::uint32_t>(raw + 1), 0x04030201u);
  EXPECT_EQ(load<std::uint64_t>(raw + 1), 0x0807060504030201u);
  EXPECT_EQ(load<std::uint16_t>("ab"), 0x6261) << "characters too";
}

TEST(Reader, ReadsBigEndianAndRemembersTheFirstFailure) {
  const std::uint8_t raw[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07};
  Reader in{raw};
  EXPECT_EQ(in.u8(), 0x01);
  EXPECT_EQ(in.u16(), 0x0203);
  EXPECT_EQ(in.u24(), 0x040506u);
  EXPECT_TRUE(in.ok());
  EXPECT_EQ(in.u16(), 0);  // one byte left: overrun
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.u8(), 0);  // and it stays failed
  EXPECT_EQ(in.left(), 0u);
}

TEST(Reader, PrefixedReadersAreBoundedByTheirPrefix) {
  const std::uint8_t raw[] = {2, 0xaa, 0xbb, 0xcc, 9, 1};
  Reader in{raw};
  Reader inner = in.prefixed_u8();
  EXPECT_EQ(inner.u8(), 0xaa);
  EXPECT_EQ(inner.u8(), 0xbb);
  EXPECT_TRUE(inner.done());
  EXPECT_EQ(in.u8(), 0xcc);
  Reader broken = in.prefixed_u8();
  EXPECT_FALSE(broken.ok());
  EXPECT_FALSE(in.ok());
}

TEST(Writer, StopsAtItsEnd) {
  std::uint8_t raw[4] = {};
  Writer out{raw};
  out.u8(1);
  out.u16(0x0203);
  EXPECT_TRUE(out.ok());
  out.u16(0xffff);
  EXPECT_FALSE(out.ok());
  EXPECT_EQ(out.size(), 3u);
  EXPECT_EQ(raw[3], 0);
}

}  // namespace
}  // namespace sluice
