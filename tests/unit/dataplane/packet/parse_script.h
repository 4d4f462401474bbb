// parse_script.h - frames as a driver leaves them, given to parse().
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "dataplane/packet/buffers.h"
#include "dataplane/packet/parse.h"

namespace sluice {

using Frame = std::vector<std::uint8_t>;

struct ParseTest : testing::Test {
  Buffers buffers{"parse_test", 255, 63, 0, -1};
  Counters counters;
  void SetUp() override { ASSERT_TRUE(buffers.ok()); }
  void TearDown() override { EXPECT_EQ(buffers.data_free(), 255u) << "a buffer is lost"; }

  Packet packet(const Frame& frame, std::uint64_t flags = 0) {
    Packet p = buffers.make();
    std::memset(static_cast<void*>(&p.meta()), 0xa5, sizeof(Meta));  // as a driver leaves it
    if (!frame.empty()) std::memcpy(p.data(), frame.data(), frame.size());
    p.get()->data_len = static_cast<std::uint16_t>(frame.size());
    p.get()->pkt_len = p.get()->data_len;
    p.get()->ol_flags = flags;
    return p;
  }
  // What became of a frame: its Meta, or the counter it died under.
  Packet good(const Frame& frame, std::uint64_t flags = 0) {
    Packet p = packet(frame, flags);
    EXPECT_TRUE(parse(p, true, counters));
    return p;
  }
  void dies(const Frame& frame, Counter reason, std::uint64_t flags = 0) {
    const auto before = counters.get(reason);
    Packet p = packet(frame, flags);
    EXPECT_FALSE(parse(p, true, counters));
    EXPECT_FALSE(p);
    EXPECT_EQ(counters.get(reason), before + 1);
  }
};

}  // namespace sluice
