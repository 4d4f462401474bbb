#include "dataplane/port/impair.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "dataplane/port/memory_port.h"

namespace sluice {
namespace {

using namespace literals;

struct ImpairTest : testing::Test {
  Buffers buffers{"impair_test", 4095, 16, 0, -1};
  void SetUp() override { ASSERT_TRUE(buffers.ok()); }
  void TearDown() override { EXPECT_EQ(buffers.data_free(), 4095u) << "a buffer is lost"; }

  // Sends numbered frames of 100 bytes, one each millisecond, and returns the numbers that came out, with times.
  std::vector<std::pair<std::uint32_t, Nanos>> run(const Impairment& spec, std::uint32_t count, std::uint64_t seed = 1,
                                                   ImpairStats* stats = nullptr, int* wrong = nullptr) {
    auto memory = std::make_unique<MemoryPort>(PortCaps{}, buffers);
    MemoryPort& far = *memory;
    Impaired port{std::move(memory), {.receive = {}, .transmit = spec, .seed = seed}};
    std::vector<std::pair<std::uint32_t, Nanos>> out;
    for (std::uint32_t i = 0; i < count + 2000; ++i) {
      const Nanos now = 1_ms * i;
      if (i < count) {
        Packet packet = buffers.make();
        auto* data = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(packet.get(), 100));
        std::memset(data, 0xaa, 100);
        std::memcpy(data, &i, 4);
        rte_mbuf* frame = packet.release();
        EXPECT_EQ(port.transmit(0, {&frame, 1}, now), 1);
      } else {
        std::array<rte_mbuf*, 1> none;
        EXPECT_EQ(port.receive(0, none, now), 0);
      }
      while (auto bytes = far.collect_bytes()) {
        std::uint32_t number;
        std::memcpy(&number, bytes->data(), 4);
        out.emplace_back(number, now);
        int bits = 0;
        for (std::size_t at = 4; at < bytes->size(); ++at)
          bits += std::popcount(static_cast<std::uint8_t>((*bytes)[at] ^ 0xaa));
        if (bits && wrong) ++*wrong;
        EXPECT_LE(bits, 1);
      }
    }
    if (stats) *stats = port.transmitted();
    return out;
  }
};

TEST_F(ImpairTest, WithoutImpairmentEverythingPassesAtOnceAndInOrder) {
  const auto out = run({}, 500);
  ASSERT_EQ(out.size(), 500u);
  for (std::uint32_t i = 0; i < 500; ++i) EXPECT_EQ(out[i], std::pair(i, 1_ms * i));
}

TEST_F(ImpairTest, LosesAndDuplicatesAtTheRateAskedFor) {
  ImpairStats stats;
  const auto out = run({.loss_ppm = 100'000, .duplicate_ppm = 50'000}, 3000, 7, &stats);
  EXPECT_NEAR(static_cast<double>(stats.lost), 300, 60);
  EXPECT_NEAR(static_cast<double>(stats.duplicated), 135, 50);
  EXPECT_EQ(out.size(), 3000 - stats.lost + stats.duplicated);
  EXPECT_EQ(out, run({.loss_ppm = 100'000, .duplicate_ppm = 50'000}, 3000, 7)) << "one seed, one run";
  EXPECT_NE(out, run({.loss_ppm = 100'000, .duplicate_ppm = 50'000}, 3000, 8));
}

TEST_F(ImpairTest, ReordersWithoutLosing) {
  ImpairStats stats;
  auto out = run({.reorder_ppm = 100'000, .reorder_delay = 5_ms}, 1000, 3, &stats);
  ASSERT_EQ(out.size(), 1000u);
  EXPECT_GT(stats.reordered, 50u);
  EXPECT_FALSE(std::is_sorted(out.begin(), out.end()));
  std::sort(out.begin(), out.end());
  for (std::uint32_t i = 0; i < 1000; ++i) EXPECT_EQ(out[i].first, i);
}

TEST_F(ImpairTest, DelaysEveryFrameByDelayAndAtMostJitter) {
  for (const auto& [number, at] : run({.delay = 20_ms, .jitter = 10_ms}, 300)) {
    EXPECT_GE(at, 1_ms * number + 20_ms);
    EXPECT_LE(at, 1_ms * number + 31_ms);
  }
}

TEST_F(ImpairTest, FlipsOneBitOfSomeFramesBehindTheEthernetHeader) {
  ImpairStats stats;
  int wrong = 0;
  EXPECT_EQ(run({.corrupt_ppm = 200'000}, 1000, 5, &stats, &wrong).size(), 1000u);
  EXPECT_NEAR(static_cast<double>(stats.corrupted), 200, 60);
  EXPECT_EQ(static_cast<std::uint64_t>(wrong), stats.corrupted);
}

TEST_F(ImpairTest, ARateSpacesFramesAndAFullQueueLosesThem) {
  // 100-byte frames at 400 kbit/s take 2 ms each, and one comes each millisecond.
  ImpairStats stats;
  const auto out = run({.rate_bps = 400'000, .queue_frames = 10}, 400, 1, &stats);
  for (std::size_t i = 1; i < out.size(); ++i) EXPECT_EQ(out[i].second - out[i - 1].second, 2_ms);
  EXPECT_NEAR(static_cast<double>(out.size()), 205, 6);
  EXPECT_EQ(out.size() + stats.overflowed, 400u);
}

TEST_F(ImpairTest, TheReceivingSideIsImpairedOnItsOwn) {
  auto memory = std::make_unique<MemoryPort>(PortCaps{}, buffers);
  MemoryPort& far = *memory;
  Impaired port{std::move(memory), {.receive = {.delay = 5_ms}, .transmit = {.loss_ppm = 1'000'000}, .seed = 1}};
  ASSERT_TRUE(far.inject(bytes("frame")));
  std::array<rte_mbuf*, 4> in;
  EXPECT_EQ(port.receive(0, in, 0_ms), 0);
  EXPECT_EQ(port.receive(0, in, 4_ms), 0);
  ASSERT_EQ(port.receive(0, in, 5_ms), 1);
  rte_mbuf* frame = in[0];
  EXPECT_EQ(port.transmit(0, {&frame, 1}, 6_ms), 1);
  EXPECT_FALSE(far.collect());
  EXPECT_EQ(port.transmitted().lost, 1u);
}

}  // namespace
}  // namespace sluice
