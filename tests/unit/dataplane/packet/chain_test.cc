#include "dataplane/packet/chain.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>

namespace sluice {
namespace {

struct ChainTest : testing::Test {
  Buffers buffers{"chain_test", 64, 64, 0, -1};
  Counters counters;
  void SetUp() override { ASSERT_TRUE(buffers.ok()); }
  void TearDown() override {
    EXPECT_EQ(buffers.data_free(), 64u) << "a buffer is lost";
    EXPECT_EQ(buffers.slices_free(), 64u) << "a descriptor is lost";
  }
  Packet packet(std::string_view content) {
    Packet p = buffers.make();
    std::memcpy(p.data(), content.data(), content.size());
    p.get()->data_len = static_cast<std::uint16_t>(content.size());
    p.get()->pkt_len = p.get()->data_len;
    return p;
  }
  std::string content(const Chain& chain) {
    std::string out(chain.size(), 0);
    chain.peek(0, {reinterpret_cast<std::uint8_t*>(out.data()), out.size()});
    return out;
  }
};

// What came back last is still in the caches: it goes out first, though others have lain longer.
TEST_F(ChainTest, BuffersThatCameBackLastGoOutFirst) {
  std::array<const rte_mbuf*, 16> first{}, second{};
  for (auto* round : {&first, &second}) {
    std::array<Packet, 16> taken;
    for (std::size_t i = 0; i < taken.size(); ++i) {
      taken[i] = buffers.make();
      (*round)[i] = taken[i].get();
    }
  }
  std::ranges::sort(first);
  std::ranges::sort(second);
  EXPECT_EQ(first, second);
}

TEST_F(ChainTest, CutsAnywhereAndLosesNothing) {
  const std::string whole = "hello, brave new world";
  for (std::uint32_t cut = 0; cut <= whole.size(); ++cut) {
    Chain chain{packet("hello, ")}, front;
    chain.append(packet("brave "));
    chain.append(packet("new world"));
    ASSERT_TRUE(chain.move_front(cut, front, buffers));
    EXPECT_EQ(content(front), whole.substr(0, cut));
    EXPECT_EQ(content(chain), whole.substr(cut));
    front.append(std::move(chain));
    EXPECT_EQ(content(front), whole);
    EXPECT_TRUE(chain.empty());
    front.trim_front(3);
    front.trim_back(4);
    EXPECT_EQ(content(front), whole.substr(3, whole.size() - 7));
    EXPECT_LE(front.segments(), 4u);
  }
}

TEST_F(ChainTest, SharedDataIsNotOursAloneUntilTheOtherIsGone) {
  Chain chain{packet("0123456789")};
  EXPECT_TRUE(sole_owner(chain.first()));
  {
    Chain copy;
    ASSERT_TRUE(chain.share(2, 5, copy, buffers));
    EXPECT_EQ(content(copy), "23456");
    EXPECT_FALSE(sole_owner(chain.first()));
    EXPECT_FALSE(sole_owner(copy.first()));
    chain.clear();
    EXPECT_TRUE(sole_owner(copy.first()));
    EXPECT_EQ(content(copy), "23456");
  }
}

TEST_F(ChainTest, AppendBytesNeverWritesBehindSharedData) {
  Chain chain{packet("abc")}, copy;
  ASSERT_TRUE(chain.share(0, 2, copy, buffers));
  ASSERT_TRUE(chain.append_bytes(bytes("def"), buffers));
  EXPECT_EQ(chain.segments(), 2u);
  EXPECT_EQ(content(chain), "abcdef");
  ASSERT_TRUE(chain.append_bytes(bytes("ghi"), buffers));
  EXPECT_EQ(chain.segments(), 2u) << "the tail is ours alone and has room";
  EXPECT_EQ(content(chain), "abcdefghi");
}

TEST_F(ChainTest, WhatDoesNotFitChangesNothing) {
  Chain chain;
  ASSERT_TRUE(chain.append_bytes(bytes(std::string(63 * buffer_data_size, 'x')), buffers));
  EXPECT_FALSE(chain.append_bytes(bytes(std::string(3 * buffer_data_size, 'y')), buffers));
  EXPECT_EQ(chain.size(), 63u * buffer_data_size);
  Chain copy;
  EXPECT_FALSE(copy_payload(chain, 0, 2 * buffer_data_size, copy, buffers, counters));
  EXPECT_TRUE(copy.empty());
  EXPECT_EQ(counters.get(Counter::payload_copied_bytes), 0u);
  EXPECT_TRUE(copy_payload(chain, 100, buffer_data_size, copy, buffers, counters));
  EXPECT_EQ(copy.size(), buffer_data_size);
  EXPECT_EQ(counters.get(Counter::payload_copied_bytes), buffer_data_size);
}

TEST_F(ChainTest, PopAndPrependWorkSegmentwise) {
  Chain chain{packet("b")};
  chain.prepend(packet("a"));
  chain.append(packet(""));
  EXPECT_EQ(chain.segments(), 2u);
  Packet first = chain.pop();
  EXPECT_EQ(text(first.bytes()), "a");
  EXPECT_EQ(content(chain), "b");
}

}  // namespace
}  // namespace sluice
