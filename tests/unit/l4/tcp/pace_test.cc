// Pacing as conversations with a scripted peer: bursts are bounded, and nothing ever stalls.
#include "l4/tcp/pace.h"

#include "tests/unit/l4/tcp/script.h"

namespace sluice::tcp {
namespace {

struct PaceTest : ScriptTest {
  void open(Nanos rtt) {
    Config c;
    c.pacing = true;
    start(c);
    send({.flags = SYN, .seq = 100, .options = {2, 4, 0x03, 0xe8, 4, 2, 1, 1}});
    const auto answer = next();
    ASSERT_TRUE(answer);
    iss = answer->seq;
    top = iss + 1;
    later(rtt);
    send({.flags = ACK, .seq = 101, .ack = iss + 1});
    events();
  }
  unsigned sent() {
    unsigned n = 0;
    while (const auto got = next()) {
      if (!got->payload.empty()) ++n;
      const std::uint32_t end = got->seq + static_cast<std::uint32_t>(got->payload.size());
      if (static_cast<std::int32_t>(end - top) > 0) top = end;
    }
    return n;
  }
  std::uint32_t top = 0;
};

TEST_F(PaceTest, AWindowGoesOutOverTheRoundTrip) {
  open(100_ms);
  give(60'000);
  EXPECT_EQ(sent(), 10u) << "ten go at once after a pause";
  later(100_ms);
  send({.flags = ACK, .seq = 101, .ack = iss + 1 + 10'000});
  const unsigned at_once = sent();
  EXPECT_LT(at_once, 14u);
  unsigned rest = 0;
  for (int i = 0; i < 60; ++i) {
    later(1_ms);
    const unsigned n = sent();
    EXPECT_LE(n, 2u);
    rest += n;
  }
  EXPECT_EQ(at_once + rest, 20u) << "the whole window, before the round trip is over";
}

TEST_F(PaceTest, ShortRoundTripsAreNotPaced) {
  open(2_ms);
  give(30'000);
  EXPECT_EQ(sent(), 10u);
  later(2_ms);
  send({.flags = ACK, .seq = 101, .ack = iss + 1 + 10'000});
  EXPECT_EQ(sent(), 20u);
}

TEST_F(PaceTest, ATransferOverALongPathEnds) {  // a tiny rate, pauses, and the timer alone to go on with
  open(1500_ms);
  std::uint32_t given = 0;
  for (int round = 0; round < 6; ++round) {
    give(30'000);
    given += 30'000;
    for (int i = 0; i < 40 && top - iss - 1 < given; ++i) {
      for (int ms = 0; ms < 1500; ms += 5) {
        later(5_ms);
        sent();
      }
      send({.flags = ACK, .seq = 101, .ack = top});
      sent();
    }
    ASSERT_EQ(top - iss - 1, given) << round;
    later(10_s);
  }
}

}  // namespace
}  // namespace sluice::tcp
