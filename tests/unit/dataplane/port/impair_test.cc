#include "dataplane/port/impair.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "dataplane/packet/checksum.h"
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

TEST_F(ImpairTest, TheQueueIsWhatWaitsForTheLineNotWhatIsOnItsWay) {
  // A frame takes the line 1 ms, one comes each millisecond, and the way is 100 ms long: nothing ever waits.
  ImpairStats stats;
  const auto out = run({.delay = 100_ms, .rate_bps = 800'000, .queue_frames = 2}, 400, 1, &stats);
  ASSERT_EQ(out.size(), 400u);
  EXPECT_EQ(stats.overflowed, 0u);
  for (std::uint32_t i = 0; i < 400; ++i) EXPECT_EQ(out[i].second, 1_ms * i + 101_ms);
}

TEST_F(ImpairTest, LosesInBurstsByTheModelOfGilbertAndElliott) {
  ImpairStats stats;
  const auto out = run({.burst_ppm = 20'000, .burst_end_ppm = 200'000}, 3000, 5, &stats);
  EXPECT_EQ(out.size() + stats.lost, 3000u);
  EXPECT_EQ(stats.lost, stats.burst_lost);
  std::uint32_t bursts = 0, expected = 0;
  for (const auto& [number, at] : out) {
    bursts += number != expected;
    expected = number + 1;
  }
  // One good frame in 50 begins a burst, whose length is 1 + 5 on average.
  EXPECT_NEAR(bursts, 54, 18);
  EXPECT_NEAR(static_cast<double>(stats.lost) / bursts, 6, 2);
}

TEST_F(ImpairTest, MarksCapableFramesWhenTheQueueIsLong) {
  auto memory = std::make_unique<MemoryPort>(PortCaps{}, buffers);
  MemoryPort& far = *memory;
  Impaired port{std::move(memory), {.receive = {}, .transmit = {.rate_bps = 8'000'000, .mark_frames = 3}, .seed = 1}};
  // Ethernet and an IPv4 header: ECT(0), then the same from a transport that cannot be told; then IPv6, ECT(1).
  std::vector<std::uint8_t> four(54, 0), six(54, 0);
  four[12] = 0x08;
  const std::uint8_t header[] = {0x45, 0x02, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2};
  std::copy(std::begin(header), std::end(header), four.begin() + 14);
  const Be16 sum = checksum(add_bytes(0, ByteView{four}.subspan(14, 20)));
  std::memcpy(&four[24], &sum, 2);
  std::vector<std::uint8_t> deaf = four;
  deaf[15] = 0;
  six[12] = 0x86, six[13] = 0xdd, six[14] = 0x60, six[15] = 0x10;
  for (int round = 0; round < 3; ++round)
    for (const auto& bytes : {four, deaf, six}) {
      Packet packet = buffers.make();
      std::memcpy(rte_pktmbuf_append(packet.get(), static_cast<std::uint16_t>(bytes.size())), bytes.data(),
                  bytes.size());
      rte_mbuf* frame = packet.release();
      EXPECT_EQ(port.transmit(0, {&frame, 1}, 0_ms), 1);
    }
  std::array<rte_mbuf*, 1> none;
  port.receive(0, none, 1'000_ms);
  for (int round = 0; round < 3; ++round) {
    const auto a = far.collect_bytes(), b = far.collect_bytes(), c = far.collect_bytes();
    ASSERT_TRUE(a && b && c);
    EXPECT_EQ((*a)[15], round ? 0x03 : 0x02) << "three wait before the second round";
    EXPECT_EQ(fold(add_bytes(0, ByteView{*a}.subspan(14, 20))), 0xffff) << "the header's checksum is right";
    EXPECT_EQ(*b, deaf);
    EXPECT_EQ((*c)[15], round ? 0x30 : 0x10);
  }
  EXPECT_EQ(port.transmitted().marked, 4u);
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
