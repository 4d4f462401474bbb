// Connections that differ from Config: sets of Settings, and listeners that name one or are full.
#include "tests/unit/l4/tcp/script.h"

namespace sluice::tcp {

namespace {

struct OwnListener {
  bool is_full = false;
  std::optional<ListenerId> find(const IpAddress&, std::uint16_t port, PortId) const {
    if (port != 80) return {};
    return 7;
  }
  SettingsId settings(ListenerId id) const { return id == 7 ? 1 : 0; }
  bool full(ListenerId) const { return is_full; }
};

struct SettingsTest : ScriptTest {
  OwnListener own;
  void SetUp() override {
    Config c;
    c.settings = 3;
    start(c);
    stack->set_listeners(ListenerView{&own});
  }
  void write(std::size_t n) {
    Chain bytes;
    ASSERT_TRUE(bytes.append_bytes(Bytes(n, 'x'), buffers));
    stack->send(id, std::move(bytes));
  }
  std::vector<std::size_t> sizes() {
    std::vector<std::size_t> out;
    while (const auto got = next())
      if (!got->payload.empty()) out.push_back(got->payload.size());
    return out;
  }
};

TEST_F(SettingsTest, AListenersSetGivesWindowScaleAndSegmentSizeOfItsSynAck) {
  stack->settings(1).receive_limit = 20'000;
  stack->settings(1).mss_max = 700;
  send({.flags = SYN, .seq = 100, .options = {2, 4, 5, 180, 1, 3, 3, 7}});
  const auto answer = next();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->window, 10'000);
  EXPECT_EQ(answer->options.mss, 700);
  EXPECT_EQ(answer->options.window_scale, 0);
  send({.flags = ACK, .seq = 101, .ack = answer->seq + 1});
  ASSERT_EQ(events(), event_accepted);
  write(1500);
  EXPECT_EQ(sizes(), (std::vector<std::size_t>{700, 700, 100})) << "mss_max bounds what is sent, too";
}

TEST_F(SettingsTest, NagleHoldsASmallSegmentWhileASmallOneIsUnacknowledged) {
  establish({2, 4, 3, 232});  // MSS 1000
  stack->settings(1).nagle = true;
  write(2100);
  EXPECT_EQ(sizes(), (std::vector<std::size_t>{1000, 1000, 100})) << "whole ones in flight hold nothing back";
  write(200);
  EXPECT_TRUE(sizes().empty());
  write(1000);
  EXPECT_EQ(sizes(), (std::vector<std::size_t>{1000})) << "what fills a segment goes";
  send({.flags = ACK, .seq = 101, .ack = iss + 1 + 2100});
  EXPECT_EQ(sizes(), (std::vector<std::size_t>{200}));
  write(5);
  EXPECT_TRUE(sizes().empty());
  stack->shutdown(id, now);
  EXPECT_EQ(sizes(), (std::vector<std::size_t>{5})) << "the FIN is never held";
}

TEST_F(SettingsTest, CorkHoldsASmallSegmentUntilItIsTakenOut) {
  establish({2, 4, 3, 232});
  stack->settings(1).cork = true;
  write(1100);
  EXPECT_EQ(sizes(), (std::vector<std::size_t>{1000}));
  stack->settings(1).cork = false;
  EXPECT_EQ(sizes(), (std::vector<std::size_t>{100}));
}

// As Linux, whose timer for a shut window sees to a cork as well.
TEST_F(SettingsTest, ACorkHoldsForATimeoutAtMost) {
  establish({2, 4, 3, 232});
  stack->settings(1).cork = true;
  write(100);
  EXPECT_TRUE(sizes().empty());
  later(150_ms);
  EXPECT_TRUE(sizes().empty());
  later(100_ms);
  EXPECT_EQ(sizes(), (std::vector<std::size_t>{100}));
  write(50);
  EXPECT_TRUE(sizes().empty());
  later(150_ms);
  EXPECT_TRUE(sizes().empty()) << "one segment is not acknowledged: no timer for what waits behind it";
}

TEST_F(SettingsTest, MoreToComeIsNotPushed) {
  establish({2, 4, 3, 232});
  stack->settings(1).more = true;
  write(100);
  EXPECT_EQ(next()->flags, ACK);
  stack->settings(1).more = false;
  write(100);
  EXPECT_EQ(next()->flags, ACK | PSH);
}

TEST_F(SettingsTest, AFullListenerDropsSynsAndLastAcks) {
  own.is_full = true;
  send({.flags = SYN, .seq = 100});
  EXPECT_FALSE(next());
  own.is_full = false;
  send({.flags = SYN, .seq = 100});
  const auto answer = next();
  ASSERT_TRUE(answer);
  own.is_full = true;
  send({.flags = ACK, .seq = 101, .ack = answer->seq + 1});
  EXPECT_EQ(events(), 0);
  EXPECT_FALSE(next());
  own.is_full = false;
  later(2_s);
  const auto again = next();
  ASSERT_TRUE(again) << "the SYN-ACK goes again, as if the ACK had been lost";
  EXPECT_EQ(again->flags, SYN | ACK);
  send({.flags = ACK, .seq = 101, .ack = answer->seq + 1});
  EXPECT_EQ(events(), event_accepted);
}

TEST_F(SettingsTest, UseSwitchesKeepaliveAndTimeouts) {
  establish();
  stack->settings(2).keepalive_probes = 2;
  stack->settings(2).keepalive_idle = 3_s;
  stack->settings(2).keepalive_interval = 1_s;
  stack->use(id, 2, now);
  later(2900_ms);
  EXPECT_FALSE(next());
  later(200_ms);
  ASSERT_TRUE(next());
  later(1_s);
  ASSERT_TRUE(next());
  later(1_s);
  EXPECT_EQ(events(), event_timed_out | event_closed);
  EXPECT_EQ(next()->flags, RST | ACK);
}

TEST_F(SettingsTest, ADelayOfNothingAcknowledgesAtOnce) {
  establish();
  send({.flags = ACK | PSH, .seq = 101, .ack = iss + 1, .payload = "a"});
  give(1);
  while (next()) {}  // an answer: quick ACKs are over
  send({.flags = ACK | PSH, .seq = 102, .ack = iss + 1, .payload = "b"});
  EXPECT_FALSE(next());
  stack->settings(1).delayed_ack = {};
  send({.flags = ACK | PSH, .seq = 103, .ack = iss + 1, .payload = "c"});
  const auto answer = next();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->ack, 104u);
}

}  // namespace

}  // namespace sluice::tcp
