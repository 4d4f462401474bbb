#include "mgmt/frame_reader.h"

#include <gtest/gtest.h>

#include "dataplane/base/rng.h"

namespace sluice::mgmt {
namespace {

TEST(FrameReader, AnySplitGivesTheSameFrames) {
  const std::vector<std::uint8_t> stream{2, 0, 0, 0, 'a', 'b', 0, 0, 0, 0, 1, 0, 0, 0, 'c'};
  Rng rng{3};
  for (int round = 0; round < 500; ++round) {
    FrameReader reader{100};
    std::vector<std::string> frames;
    for (std::size_t at = 0; at < stream.size();) {
      const std::size_t n = std::min<std::size_t>(1 + rng.below(6), stream.size() - at);
      at += reader.feed(ByteView{stream}.subspan(at, n));
      if (reader.state() == FrameReader::State::complete) {
        const auto frame = reader.take();
        frames.emplace_back(text(frame).substr(4));
      }
    }
    ASSERT_EQ(frames, (std::vector<std::string>{"ab", "", "c"}));
    ASSERT_FALSE(reader.mid_frame());
  }
}

TEST(FrameReader, APrefixOfFourGibibytesCostsNothing) {
  FrameReader reader{1000};
  const std::vector<std::uint8_t> stream{0xff, 0xff, 0xff, 0xff, 1, 2, 3};
  EXPECT_EQ(reader.feed(stream), 4u);
  EXPECT_EQ(reader.state(), FrameReader::State::too_large);
  EXPECT_EQ(reader.feed(stream), 0u);
  EXPECT_LT(reader.held(), 64u);
  FrameReader honest{1u << 30};
  const std::vector<std::uint8_t> half{0, 0, 0, 0x20, 1, 2, 3};
  honest.feed(half);
  EXPECT_TRUE(honest.mid_frame());
  EXPECT_LT(honest.held(), 64u);
}

}  // namespace
}  // namespace sluice::mgmt
