#include "dataplane/packet/checksum.h"

#include <gtest/gtest.h>

#include <vector>

#include "dataplane/base/rng.h"
#include "dataplane/packet/buffers.h"

namespace sluice {
namespace {

// RFC 1071 section 4.1, word by word, as slowly as it stands there.
std::uint16_t by_the_rfc(ByteView in) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < in.size(); i += 2) {
    sum += std::uint32_t{in[i]} << 8 | (i + 1 < in.size() ? in[i + 1] : 0);
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<std::uint16_t>(sum);
}

std::vector<std::uint8_t> noise(std::size_t size, Rng& rng) {
  std::vector<std::uint8_t> out(size);
  for (auto& byte : out) byte = static_cast<std::uint8_t>(rng.next());
  return out;
}

TEST(Checksum, ExampleOfRfc1071) {
  const std::uint8_t in[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  EXPECT_EQ(folded(add_bytes(0, in)).get(), 0xddf2);
  EXPECT_EQ(checksum(add_bytes(0, in)).get(), 0x220d);
}

TEST(Checksum, EqualsTheRfcsLoopForEverySizeAndAlignment) {
  Rng rng{1};
  for (std::size_t size = 0; size < 300; ++size) {
    for (std::size_t shift = 0; shift < 4; ++shift) {
      const auto in = noise(size + shift, rng);
      const ByteView view = ByteView{in}.subspan(shift);
      ASSERT_EQ(folded(add_bytes(0, view)).get(), by_the_rfc(view)) << size << " bytes";
    }
  }
  const std::vector<std::uint8_t> ones(65535, 0xff);
  EXPECT_EQ(folded(add_bytes(0, ones)).get(), by_the_rfc(ones));
}

TEST(Checksum, SegmentsOfAnySizeGiveTheSameSum) {
  Buffers buffers{"checksum_test", 63, 63, 0, -1};
  ASSERT_TRUE(buffers.ok());
  Rng rng{2};
  for (int round = 0; round < 300; ++round) {
    const auto in = noise(1 + rng.below(900), rng);
    Packet packet;
    rte_mbuf* last = nullptr;
    for (std::size_t at = 0; at < in.size();) {
      Packet segment = buffers.make();
      const std::size_t n = std::min<std::size_t>(in.size() - at, rng.below(60));  // 0 as well
      std::memcpy(segment.data(), in.data() + at, n);
      segment.get()->data_len = static_cast<std::uint16_t>(n);
      at += n;
      rte_mbuf* mbuf = segment.release();
      if (last) last->next = mbuf;
      else packet = Packet{mbuf};
      last = mbuf;
    }
    const std::uint32_t offset = rng.below(static_cast<std::uint32_t>(in.size())),
                        left = static_cast<std::uint32_t>(in.size()) - offset;
    const std::uint32_t size = rng.below(left + 1);
    packet.get()->nb_segs = 1;
    for (const rte_mbuf* s = packet.get(); s->next; s = s->next) ++packet.get()->nb_segs;
    ASSERT_EQ(folded(add_segments(0, packet.get(), offset, size)).get(),
              by_the_rfc(ByteView{in}.subspan(offset, size)));
  }
}

TEST(Checksum, ExampleOfRfc1624) {
  // Section 4: checksum 0xdd2f, a word goes from 0x5555 to 0x3285; equation 3 gives 0x0000, where equation 2 fails.
  Be16 field{0xdd2f};
  ChecksumDelta delta;
  delta.change(Be16{0x5555}, Be16{0x3285});
  delta.apply(field);
  EXPECT_EQ(field.get(), 0x0000);
}

TEST(Checksum, IncrementalUpdateEqualsAFreshSum) {
  Rng rng{3};
  for (int round = 0; round < 2000; ++round) {
    auto bytes = noise(64, rng);
    Be16 field = checksum(add_bytes(0, bytes));
    ChecksumDelta delta;
    for (std::size_t changes = 1 + rng.below(3); changes > 0; --changes) {
      const std::size_t at = rng.below(24) * 2, size = rng.below(2) ? 4 : 16;
      const auto fresh = noise(size, rng);
      delta.change(ByteView{bytes}.subspan(at, size), fresh);
      std::copy(fresh.begin(), fresh.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
    }
    delta.apply(field);
    ASSERT_EQ(field, checksum(add_bytes(0, bytes)));
  }
}

TEST(Checksum, UdpNeverMakesNorTouchesNone) {
  Be16 none{0};
  ChecksumDelta delta;
  delta.change(Be16{1}, Be16{2});
  delta.apply_udp(none);
  EXPECT_EQ(none.get(), 0);
  Be16 field{0xdd2f};
  ChecksumDelta to_zero;
  to_zero.change(Be16{0x5555}, Be16{0x3285});
  to_zero.apply_udp(field);
  EXPECT_EQ(field.get(), 0xffff);
  EXPECT_EQ(udp_checksum(0xffff).get(), 0xffff);
}

}  // namespace
}  // namespace sluice
