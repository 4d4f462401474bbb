// CUBIC, HyStart++ and PRR by their formulas. Expectations are computed from the RFCs, by hand or by the few lines of
// Python in a comment, never from what the code gave.
#include "l4/tcp/congestion.h"

#include <gtest/gtest.h>

namespace sluice::tcp {
namespace {

// A window that is always full, and an ACK for each segment, spread over the round trip.
struct Path {
  explicit Path(std::uint32_t window, std::uint32_t rtt) : rtt_ms(rtt) {
    c.start(window);
    c.sent(window, true, Seq{1}, Seq{2}, 0, true, now());
  }
  std::uint32_t now() const { return static_cast<std::uint32_t>(at_ms); }
  void round() {
    const std::uint32_t window = c.cwnd();
    for (std::uint32_t i = 0; i < window; ++i) {
      at_ms += static_cast<double>(rtt_ms) / window;
      c.acknowledged(1, rtt_ms * 1000, now());
    }
  }
  // Rounds until `seconds` after `from_ms`.
  void until(double from_ms, double seconds) {
    while (at_ms < from_ms + seconds * 1000) round();
  }
  void lose() {
    c.remember(c.current_ssthresh(false));
    c.begin_reduction();
    c.end_reduction();
  }
  Congestion c;
  const std::uint32_t rtt_ms;
  double at_ms = 1000;
};

// RFC 9438 4.6: ssthresh = cwnd * 0.7, at least 2.
TEST(Cubic, CutsToSevenTenths) {
  const std::uint32_t cases[][2] = {{1, 2}, {2, 2}, {3, 2}, {4, 2}, {10, 7}, {15, 10}, {100, 70}, {1000, 700}};
  for (const auto& [window, want] : cases) {
    Congestion c;
    c.start(window);
    c.begin_reduction();
    EXPECT_EQ(c.ssthresh(), want) << window;
  }
}

// RFC 9438 4.2, equations 1 and 2 with W_max = 1000, cwnd_epoch = 700: K = cbrt(300 / 0.4) = 9.09 s,
//   python3 -c "print([.4 * (t - 750 ** (1 / 3)) ** 3 + 1000 for t in (1, 2, 5, 9, 12, 15)])"
//   788.5 857.7 972.7 1000.0 1009.9 1082.8
// A window that is corrected with each ACK is at most a round trip late.
TEST(Cubic, FollowsTheCurve) {
  Path p{1000, 100};
  p.lose();
  ASSERT_EQ(p.c.cwnd(), 700u);
  const double from = p.at_ms;
  const double want[][2] = {{1, 788.5}, {2, 857.7}, {5, 972.7}, {9, 1000.0}, {12, 1009.9}, {15, 1082.8}};
  for (const auto& [seconds, window] : want) {
    p.until(from, seconds);
    EXPECT_NEAR(p.c.cwnd(), window, window * 0.012) << seconds << " s";
  }
}

// RFC 9438 4.3, where the round trip is short: W_est grows by 3 (1 - 0.7) / (1 + 0.7) = 0.529 segments a round trip
// until it is back at cwnd_prior = 20, then by 1:
//   w = 14
//   for r in range(16):
//     n = int(w)
//     for i in range(n): w += (.9 / 1.7 if w < 20 else 1) / n
//     print(int(w))
TEST(Cubic, GrowsAsRenoOnShortPaths) {
  Path p{20, 20};
  p.lose();
  ASSERT_EQ(p.c.cwnd(), 14u);
  const std::uint32_t want[] = {14, 15, 15, 16, 16, 17, 17, 18, 18, 19, 19, 20, 21, 22, 23, 24};
  for (const std::uint32_t window : want) {
    p.round();
    EXPECT_EQ(p.c.cwnd(), window) << (p.at_ms - 1000) / 20 << " round trips";
  }
}

// What the cut leaves of a segment is not lost: 11 x 0.7 = 7.7, and half a round trip's growth makes it 8.
TEST(Cubic, KeepsFractions) {
  Path p{11, 20};
  p.lose();
  ASSERT_EQ(p.c.cwnd(), 7u);
  p.round();
  EXPECT_EQ(p.c.cwnd(), 8u);
}

// RFC 9438 4.7: W_max was 100 and the window came to 80 only, so the next W_max is 80 (1 + 0.7) / 2 = 68. With
// cwnd_epoch = 56 K is cbrt(12 / 0.4) = 3.1 s:
//   python3 -c "print([.4 * (t - 30 ** (1 / 3)) ** 3 + 68 for t in (1, 2, 3, 4, 5)])"
//   64.3 67.5 68.0 68.3 70.7
// (With W_max = 80 it would be 74.1 after 2 s and 79.7 after 3.)
TEST(Cubic, ConvergesFast) {
  Path p{100, 300};
  p.lose();
  p.c.start(80);
  p.lose();
  ASSERT_EQ(p.c.cwnd(), 56u);
  const double from = p.at_ms;
  const double want[][2] = {{1, 64.3}, {2, 67.5}, {3, 68.0}, {4, 68.3}, {5, 70.7}};
  for (const auto& [seconds, window] : want) {
    p.until(from, seconds);
    EXPECT_NEAR(p.c.cwnd(), window, 2) << seconds << " s";
  }
}

// RFC 9438 4.8: after a timeout slow start to ssthresh, then K = 0 and W_max = cwnd: 70 + 0.4 t^3. (By the window
// before the timeout it would be 100 after 4 s.)
TEST(Cubic, StartsAFlatCurveAfterATimeout) {
  Path p{100, 120};
  p.c.timed_out(true, 0);
  EXPECT_EQ(p.c.cwnd(), 1u);
  EXPECT_EQ(p.c.ssthresh(), 70u);
  while (p.c.slow_start()) p.round();
  EXPECT_EQ(p.c.cwnd(), 70u);
  const double from = p.at_ms;
  const double want[][2] = {{4, 95.6}, {5, 120.0}};
  for (const auto& [seconds, window] : want) {
    p.until(from, seconds);
    EXPECT_NEAR(p.c.cwnd(), window, 0.07 * window) << seconds << " s";
  }
}

// RFC 9438 4.2: target is at most 1.5 cwnd, and 7 acknowledged segments close the whole of the gap.
TEST(Cubic, GrowsByHalfAtMost) {
  Path p{10, 20};
  p.lose();
  ASSERT_EQ(p.c.cwnd(), 7u);
  p.c.acknowledged(1, 20'000, 1000);
  p.c.acknowledged(7, 20'000, 100'000);
  EXPECT_EQ(p.c.cwnd(), 10u);
}

// RFC 9438 4.9: the cut was for nothing, and the curve of FollowsTheCurve goes on. (From a new epoch at 3 s it would
// come to 1600 at 15 s.)
TEST(Cubic, GoesOnWhenTheCutIsUndone) {
  Path p{1000, 100};
  p.lose();
  const double from = p.at_ms;
  p.until(from, 3);
  const std::uint32_t before = p.c.cwnd(), threshold = p.c.ssthresh();
  p.lose();
  EXPECT_LT(p.c.cwnd(), before);
  EXPECT_TRUE(p.c.undo());
  EXPECT_EQ(p.c.cwnd(), before);
  EXPECT_GE(p.c.ssthresh(), threshold);
  p.until(from, 5);
  EXPECT_NEAR(p.c.cwnd(), 972.7, 12);
  p.until(from, 15);
  EXPECT_NEAR(p.c.cwnd(), 1082.8, 12);
}

// RFC 9438 5.8: the time in which nothing was sent moves the epoch on.
TEST(Cubic, DoesNotGrowWhileNothingIsSent) {
  Path p{1000, 100};
  p.lose();
  const double from = p.at_ms;
  p.until(from, 5);
  p.at_ms += 20'000;
  p.c.resumed(20'000, p.now());
  p.until(from + 20'000, 9);
  EXPECT_NEAR(p.c.cwnd(), 1000, 12);
}

// RFC 9438 4.2.1, RFC 7661: a window that is not the limit does not grow, in avoidance and in slow start.
TEST(Cubic, DoesNotGrowUnused) {
  Congestion c;
  c.start(20);
  c.sent(5, false, Seq{1}, Seq{2}, 0, true, 1000);
  c.acknowledged(5, 20'000, 1000);
  EXPECT_EQ(c.cwnd(), 20u);
  c.begin_reduction();
  c.end_reduction();
  c.acknowledged(5, 20'000, 1020);
  EXPECT_EQ(c.cwnd(), 14u);
}

// RFC 5681 3.1: cwnd grows by what is acknowledged until it is at ssthresh.
TEST(SlowStart, CountsSegments) {
  Path p{10, 20};
  p.c.acknowledged(1, 20'000, 1000);
  EXPECT_EQ(p.c.cwnd(), 11u);
  p.c.acknowledged(7, 20'000, 1000);
  EXPECT_EQ(p.c.cwnd(), 18u);
}

// RFC 9406. Rounds of as many ACKs as the window has segments, each with an RTT sample.
struct HyStart : testing::Test {
  void SetUp() override {
    c.start(10);
    c.sent(10, true, Seq{1}, Seq{2}, 0, true, 1000);
  }
  void round(std::uint32_t rtt_us, unsigned acks) {
    for (unsigned i = 0; i < acks; ++i) {
      c.sampled(rtt_us);
      c.acknowledged(1, rtt_us, now_ms);
    }
    now_ms += rtt_us / 1000;
    c.round_began();
  }
  // How much four segments grow the window by now: 4 in slow start, 1 in conservative slow start.
  std::uint32_t growth() {
    const std::uint32_t before = c.cwnd();
    c.acknowledged(4, 20'000, now_ms);
    return c.cwnd() - before;
  }
  bool conservative(std::uint32_t first_us, std::uint32_t second_us, unsigned samples = 8) {
    SetUpAnew();
    round(first_us, 10);
    for (unsigned i = 0; i < samples; ++i) c.sampled(second_us);
    return growth() == 1;
  }
  void SetUpAnew() {
    c = Congestion{};
    SetUp();
  }
  Congestion c;
  std::uint32_t now_ms = 1000;
};

// 4.2: RttThresh = max(4 ms, min(lastRoundMinRTT / 8, 16 ms)).
TEST_F(HyStart, Threshold) {
  EXPECT_FALSE(conservative(20'000, 23'999));
  EXPECT_TRUE(conservative(20'000, 24'000)) << "at least 4 ms";
  EXPECT_FALSE(conservative(80'000, 89'999));
  EXPECT_TRUE(conservative(80'000, 90'000)) << "an eighth";
  EXPECT_FALSE(conservative(400'000, 415'999));
  EXPECT_TRUE(conservative(400'000, 416'000)) << "at most 16 ms";
}

TEST_F(HyStart, NeedsEightSamples) {
  EXPECT_FALSE(conservative(20'000, 40'000, 7));
  EXPECT_TRUE(conservative(20'000, 40'000, 8));
}

// 4.3: CSS_ROUNDS is 5, the round in which it began is one of them; then ssthresh = cwnd. In CSS a segment grows the
// window by a quarter.
TEST_F(HyStart, FiveConservativeRounds) {
  round(20'000, 10);
  ASSERT_EQ(c.cwnd(), 20u);
  for (unsigned i = 0; i < 8; ++i) c.sampled(40'000);
  std::uint32_t window = c.cwnd();
  for (unsigned i = 1; i <= 5; ++i) {
    EXPECT_TRUE(c.unlimited()) << i;
    round(40'000, 20);
    EXPECT_EQ(c.cwnd(), window += 5);
  }
  EXPECT_EQ(c.ssthresh(), c.cwnd());
  EXPECT_FALSE(c.slow_start());
}

// 4.2: an RTT below the one that began CSS says that it was jitter.
TEST_F(HyStart, JitterGoesBackToSlowStart) {
  round(20'000, 10);
  round(40'000, 20);
  ASSERT_EQ(growth(), 1u);
  for (unsigned i = 0; i < 8; ++i) c.sampled(39'000);
  EXPECT_EQ(growth(), 4u);
  for (unsigned i = 0; i < 6; ++i) c.round_began();
  EXPECT_TRUE(c.unlimited());
}

// 4.3: for the first slow start; later ones know where to stop.
TEST_F(HyStart, NotAfterALoss) {
  c.start(100);
  c.timed_out(true, 9);
  ASSERT_EQ(c.ssthresh(), 70u);
  round(20'000, 10);
  for (unsigned i = 0; i < 8; ++i) c.sampled(40'000);
  EXPECT_EQ(growth(), 4u);
}

// Linux's rule where slow start ended without a loss: a twentieth a round trip at least.
TEST_F(HyStart, AvoidanceBeforeAnyLoss) {
  c.start(100);
  round(20'000, 10);
  for (unsigned i = 0; i < 8; ++i) c.sampled(40'000);
  for (unsigned i = 0; i < 5; ++i) c.round_began();
  ASSERT_FALSE(c.slow_start());
  const std::uint32_t window = c.cwnd();
  round(40'000, window);
  EXPECT_NEAR(c.cwnd(), window * 1.05, 1);
}

// RFC 6937 3: while more than ssthresh is out, CEIL(prr_delivered * ssthresh / RecoverFS) - prr_out. Of 20 segments the
// first is lost and the rest is sacked one by one: CEIL(0.7 n) is 1 2 3 3 4 5 5 ...
TEST(Prr, Proportional) {
  Congestion c;
  c.start(20);
  c.begin_reduction();
  ASSERT_EQ(c.ssthresh(), 14u);
  std::uint32_t in_flight = 19;  // the lost one does not count
  const std::uint32_t want[] = {1, 1, 1, 0, 1};
  for (const std::uint32_t send : want) {
    --in_flight;
    c.reduce(1, in_flight, false, false);
    EXPECT_EQ(c.cwnd(), in_flight + send);
    c.reduction_sent(send);
    in_flight += send;
  }
}

// RFC 6937 3.1, RFC 9937: below ssthresh what was delivered may be sent (CRB); one more for each ACK that moves on and
// shows no loss (SSRB), but never beyond ssthresh.
TEST(Prr, Bounds) {
  Congestion c;
  c.start(20);
  c.begin_reduction();
  c.reduce(3, 5, false, true);
  EXPECT_EQ(c.cwnd(), 5u + 3);
  c.reduction_sent(3);
  c.reduce(2, 6, true, true);
  EXPECT_EQ(c.cwnd(), 6u + 2) << "something more was lost";
  c.reduction_sent(2);
  c.reduce(2, 6, true, false);
  EXPECT_EQ(c.cwnd(), 6u + 3);
  c.reduction_sent(3);
  c.reduce(9, 9, true, false);
  EXPECT_EQ(c.cwnd(), 14u) << "ssthresh";
}

// The first retransmission goes whatever the formula says (RFC 9937).
TEST(Prr, FirstRetransmissionGoes) {
  Congestion c;
  c.start(4);
  c.begin_reduction();
  ASSERT_EQ(c.ssthresh(), 2u);
  c.reduce(1, 2, false, true);
  EXPECT_EQ(c.cwnd(), 3u);
}

}  // namespace
}  // namespace sluice::tcp
