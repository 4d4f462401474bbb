// ECN (RFC 3168) as conversations with a scripted peer.
#include "tests/unit/l4/tcp/script.h"

namespace sluice::tcp {
namespace {

constexpr std::uint8_t not_capable = 0, ect0 = 2, marked = 3;

struct EcnTest : ScriptTest {
  void accept(std::uint8_t syn_flags, bool granted) {
    send({.flags = static_cast<std::uint8_t>(SYN | syn_flags), .seq = 100, .options = {2, 4, 0x03, 0xe8, 4, 2, 1, 1}});
    const auto answer = next();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->flags, SYN | ACK | (granted ? ECE : 0));
    EXPECT_EQ(answer->ecn, not_capable);
    iss = answer->seq;
    later(100_ms);
    send({.flags = ACK, .seq = 101, .ack = iss + 1});
    events();
    EXPECT_EQ(info().ecn, granted);
  }
  void SetUp() override {
    Config c;
    c.quick_acks = 16;
    start(c);
  }
};

TEST_F(EcnTest, IsGrantedToWhoAsksInFull) {  // 6.1.1
  accept(ECE | CWR, true);
}
TEST_F(EcnTest, HalfARequestIsNone) { accept(ECE, false); }
TEST_F(EcnTest, IsNotOfferedWhereItIsOff) {
  Config c;
  c.ecn = Ecn::off;
  start(c);
  accept(ECE | CWR, false);
}

TEST_F(EcnTest, NewDataIsCapableAndNothingElse) {  // 6.1.4, 6.1.5
  accept(ECE | CWR, true);
  give(3000);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(next()->ecn, ect0);
  send({.flags = ACK, .seq = 101, .ack = iss + 1, .payload = "x", .ecn = ect0});
  const auto ack = next();
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->ecn, not_capable);
  later(205_ms);
  const auto probe = next();
  ASSERT_TRUE(probe);
  EXPECT_EQ(probe->payload.size(), 1000u);
  EXPECT_EQ(probe->ecn, not_capable) << "sent again";
}

TEST_F(EcnTest, AMarkIsEchoedUntilTheSenderSaysThatItSlowedDown) {  // 6.1.3
  accept(ECE | CWR, true);
  send({.flags = ACK, .seq = 101, .ack = iss + 1, .payload = "a", .ecn = marked});
  EXPECT_EQ(next()->flags, ACK | ECE);
  send({.flags = ACK, .seq = 102, .ack = iss + 1, .payload = "b", .ecn = ect0});
  EXPECT_EQ(next()->flags, ACK | ECE);
  send({.flags = ACK | CWR, .seq = 103, .ack = iss + 1, .payload = "c", .ecn = ect0});
  EXPECT_EQ(next()->flags, ACK);
  EXPECT_EQ(counters.get(Counter::tcp_ecn_marks_received), 1u);
}

TEST_F(EcnTest, AnEchoReducesTheWindowOnceInARoundTrip) {  // 6.1.2
  accept(ECE | CWR, true);
  give(20'000);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(next());
  later(100_ms);
  send({.flags = ACK | ECE, .seq = 101, .ack = iss + 1001});
  EXPECT_EQ(info().congestion_state, CongestionState::cwr);
  EXPECT_EQ(info().ssthresh_segments, 7u);
  const auto first = next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->flags & ~PSH, ACK | CWR) << "told on the next new data";
  EXPECT_EQ(first->ecn, ect0);
  for (std::uint32_t n = 2; n <= 9; ++n) {
    send({.flags = ACK | ECE, .seq = 101, .ack = iss + 1 + n * 1000});
    while (const auto got = next()) EXPECT_EQ(got->flags & CWR, 0);
  }
  EXPECT_EQ(info().ssthresh_segments, 7u);
  EXPECT_EQ(counters.get(Counter::tcp_ecn_reductions), 1u);
  EXPECT_EQ(info().retransmits, 0u);
}

TEST_F(EcnTest, AnActiveOpenAsksOnceWhereItIsToldTo) {  // 6.1.1, 6.1.1.1
  Config c;
  c.ecn = Ecn::ask;
  start(c);
  const auto id_or = stack->connect({.remote = {peer->here.address, peer->here.port}}, now);
  ASSERT_TRUE(id_or);
  id = *id_or;
  auto syn = next();
  ASSERT_TRUE(syn);
  EXPECT_EQ(syn->flags, SYN | ECE | CWR);
  later(1100_ms);
  syn = next();
  ASSERT_TRUE(syn);
  EXPECT_EQ(syn->flags, SYN) << "the one before may have been lost for asking";
}

}  // namespace
}  // namespace sluice::tcp
