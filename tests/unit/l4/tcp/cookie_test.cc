// SYN cookies (RFC 4987 3.6): what they carry, when they are sent, what a forger gets.
#include "l4/tcp/cookie.h"

#include "dataplane/base/rng.h"
#include "tests/unit/l4/tcp/script.h"

namespace sluice::tcp {
namespace {

Key some_key() {
  Key key;
  key.local = *parse_ip("2001:db8::1");
  key.remote = *parse_ip("2001:db8::2");
  key.local_port = 443;
  key.remote_port = 50000;
  return key;
}

TEST(Cookies, CarryTheLargestMssThatIsNotAboveTheOffer) {
  const Cookies cookies{SipHash::Key{1}};
  const Nanos now{1'000'000'000'000};
  const std::pair<std::uint16_t, std::uint16_t> offers[] = {{0, 216},     {216, 216},   {535, 216},   {536, 536},
                                                            {1239, 1220}, {1360, 1300}, {1459, 1440}, {1460, 1460},
                                                            {8899, 1460}, {9000, 8900}, {65535, 8900}};
  for (const auto& [offered, kept] : offers) {
    const Seq cookie = cookies.make(some_key(), Seq{77}, offered, now);
    EXPECT_EQ(cookies.check(some_key(), Seq{77}, cookie, now), kept) << offered;
  }
}

TEST(Cookies, AreGoodForTheirTupleNumberKeyAndTimeOnly) {
  const Cookies cookies{SipHash::Key{1}}, others{SipHash::Key{2}};
  const Nanos now{64'000'000'000 * 100};
  const Seq cookie = cookies.make(some_key(), Seq{77}, 1460, now);
  EXPECT_TRUE(cookies.check(some_key(), Seq{77}, cookie, now + 127_s));
  EXPECT_FALSE(cookies.check(some_key(), Seq{77}, cookie, now + 128_s));
  EXPECT_FALSE(cookies.check(some_key(), Seq{77}, cookie, now + 192_s));
  EXPECT_FALSE(cookies.check(some_key(), Seq{77}, cookie, now - 1_s)) << "from the future";
  EXPECT_FALSE(cookies.check(some_key(), Seq{78}, cookie, now));
  EXPECT_FALSE(others.check(some_key(), Seq{77}, cookie, now));
  Key other = some_key();
  other.remote_port++;
  EXPECT_FALSE(cookies.check(other, Seq{77}, cookie, now));
  for (unsigned bit = 0; bit < 32; ++bit)
    EXPECT_FALSE(cookies.check(some_key(), Seq{77}, Seq{cookie.value ^ 1u << bit}, now)) << bit;
}

TEST(Cookies, AMillionGuessesOpenNothing) {
  const Cookies cookies{SipHash::Key{9}};
  Rng rng{3};
  unsigned right = 0;
  for (unsigned i = 0; i < 1'000'000; ++i)
    right += cookies.check(some_key(), Seq{77}, Seq{static_cast<std::uint32_t>(rng.next())}, Nanos{}).has_value();
  EXPECT_LE(right, 1u);
}

TEST(Cookies, OptionsTravelInATimestampThatIsNeverAheadOfTheClock) {
  for (std::uint32_t clock : {0u, 63u, 64u, 1000u, 0x7fffffffu, 0xffffffffu})
    for (unsigned scale = 0; scale <= 14; ++scale)
      for (unsigned bits = 0; bits < 4; ++bits) {
        const CookieOptions in{true, static_cast<std::uint8_t>(scale), (bits & 1) != 0, (bits & 2) != 0};
        const std::uint32_t ts = in.put(clock);
        EXPECT_LE(clock - ts, 64u + 63u);
        EXPECT_GE(static_cast<std::int32_t>(clock - ts), 0);
        EXPECT_EQ(CookieOptions::take(ts), in);
      }
  EXPECT_EQ(CookieOptions::take(CookieOptions{}.put(5000)), CookieOptions{});
}

Bytes all_options(std::uint32_t ts, std::uint32_t echo = 0) {
  Bytes out{2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 3, 9};
  put32(&out[8], ts);
  put32(&out[12], echo);
  return out;
}
Bytes timestamps(std::uint32_t ts, std::uint32_t echo) {
  Bytes out{1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0};
  put32(&out[4], ts);
  put32(&out[8], echo);
  return out;
}

struct CookieTest : ScriptTest {
  void SetUp() override { start({.syn_cookies = SynCookies::always}); }
};

TEST_F(CookieTest, KeepNothingAndStillAgreeOnEverything) {
  send({.flags = SYN, .seq = 100, .options = all_options(500)});
  const auto answer = next();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->flags, SYN | ACK);
  EXPECT_EQ(answer->ack, 101u);
  EXPECT_TRUE(answer->options.has_window_scale && answer->options.sack_permitted && answer->options.has_timestamps);
  EXPECT_EQ(answer->options.ts_echo, 500u);
  EXPECT_EQ(stack->handshake_count(), 0u);
  later(5_s);
  EXPECT_SILENCE();
  // Data comes with the ACK, as it does when the bare ACK was lost.
  send({.flags = ACK | PSH,
        .seq = 101,
        .ack = answer->seq + 1,
        .options = timestamps(600, answer->options.ts_value),
        .payload = "hello"});
  EXPECT_EQ(events(), event_accepted | event_readable);
  const Info i = info();
  EXPECT_TRUE(i.timestamps && i.sack);
  EXPECT_EQ(i.send_scale, 9);
  EXPECT_EQ(i.mss, 1460);
  EXPECT_GT(i.receive_scale, 0);
  EXPECT_EQ(i.bytes_received, 5u);
  give(10);
  const auto data = next();
  ASSERT_TRUE(data);
  EXPECT_EQ(data->seq, answer->seq + 1);
  EXPECT_EQ(data->options.ts_echo, 600u);
  EXPECT_LE(static_cast<std::int32_t>(answer->options.ts_value - data->options.ts_value), 0);
  EXPECT_EQ(counters.get(Counter::tcp_syn_cookies_sent), 1u);
  EXPECT_EQ(counters.get(Counter::tcp_syn_cookies_accepted), 1u);
}

TEST_F(CookieTest, WithoutTimestampsThereIsNoScaleAndNoSack) {
  send({.flags = SYN, .seq = 100, .options = {2, 4, 0x05, 0x14, 4, 2, 1, 3, 3, 7}});
  const auto answer = next();
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->options.has_window_scale || answer->options.sack_permitted || answer->options.has_timestamps);
  send({.flags = ACK, .seq = 101, .ack = answer->seq + 1});
  EXPECT_EQ(events(), event_accepted);
  EXPECT_FALSE(info().sack);
  EXPECT_EQ(info().send_scale, 0);
  EXPECT_EQ(info().receive_scale, 0);
  EXPECT_EQ(info().mss, 1300);
}

TEST_F(CookieTest, AWrongOrOldOneIsReset) {
  send({.flags = SYN, .seq = 100});
  const auto answer = next();
  ASSERT_TRUE(answer);
  send({.flags = ACK, .seq = 101, .ack = answer->seq + 2});
  EXPECT_SEGMENT(RST, answer->seq + 2, 0u);
  send({.flags = ACK, .seq = 102, .ack = answer->seq + 1});
  EXPECT_SEGMENT(RST, answer->seq + 1, 0u);
  EXPECT_EQ(counters.get(Counter::tcp_syn_cookies_rejected), 2u);
  now += 128_s;
  send({.flags = ACK, .seq = 101, .ack = answer->seq + 1});
  EXPECT_SEGMENT(RST, answer->seq + 1, 0u);
  EXPECT_EQ(events(), 0);
  EXPECT_EQ(stack->connection_count(), 0u);
}

TEST_F(CookieTest, ForgedAcksCostNoMoreResetsThanTheirRate) {
  start({.syn_cookies = SynCookies::always, .resets_per_second = 100});
  send({.flags = SYN, .seq = 100});
  ASSERT_TRUE(next());
  for (std::uint32_t i = 0; i < 1000; ++i) send({.flags = ACK, .seq = 101, .ack = 1000 + 64 * i});
  unsigned resets = 0;
  while (next()) ++resets;
  EXPECT_LE(resets, 11u);
  EXPECT_EQ(counters.get(Counter::tcp_syn_cookies_rejected), 1000u);
}

TEST_F(CookieTest, WithoutACookieOutNoAckIsLookedAt) {
  start({});
  const Cookies same{SipHash::Key{}};
  Key key;
  key.local = peer->there.address;
  key.remote = peer->here.address;
  key.local_port = 80;
  key.remote_port = 1000;
  const Seq cookie = same.make(key, Seq{100}, 1460, now);
  send({.flags = ACK, .seq = 101, .ack = cookie.value + 1});
  EXPECT_SEGMENT(RST, cookie.value + 1, 0u);
  EXPECT_EQ(events(), 0);
}

TEST_F(CookieTest, BacklogSwitchesThemOnAndQuietOffAgain) {
  start({});  // a SYN cache of four: three make pressure
  for (std::uint16_t i = 0; i < 6; ++i) {
    peer->here.port = static_cast<std::uint16_t>(2000 + i);
    send({.flags = SYN, .seq = 100});
    ASSERT_TRUE(next());
  }
  EXPECT_EQ(stack->handshake_count(), 3u);
  EXPECT_EQ(counters.get(Counter::tcp_syn_cookies_sent), 3u);
  EXPECT_EQ(counters.get(Counter::tcp_syn_cookie_spells), 1u);
  EXPECT_EQ(counters.get(Counter::tcp_handshakes_evicted), 0u);
  later(16_s);  // the three expire
  while (next()) {}
  ASSERT_EQ(stack->handshake_count(), 0u);
  for (std::uint16_t i = 0; i < 2; ++i) {
    peer->here.port = static_cast<std::uint16_t>(3000 + i);
    send({.flags = SYN, .seq = 100});
    ASSERT_TRUE(next());
    later(2_s);
    while (next()) {}
  }
  EXPECT_EQ(counters.get(Counter::tcp_syn_cookies_sent), 3u) << "the flood is over";
  EXPECT_EQ(stack->handshake_count(), 2u);
}

// RFC 4987: whom the flood does not name goes on, and who comes meanwhile gets in.
TEST_F(CookieTest, AFloodNeitherStopsTheEstablishedNorKeepsNewOnesOut) {
  start({});
  establish();
  const ConnId first = id;
  const std::uint32_t first_iss = iss;
  const Endpoint here = peer->here;
  Rng rng{11};
  std::uint32_t sent = 0, admitted = 0;
  for (int turn = 0; turn < 500; ++turn) {
    for (int i = 0; i < 40; ++i) {
      peer->here = {IpAddress::from_v4(0x0a000000u + static_cast<std::uint32_t>(rng.below(1u << 24))),
                    static_cast<std::uint16_t>(1 + rng.below(65000))};
      send({.flags = SYN, .seq = static_cast<std::uint32_t>(rng.next()), .options = all_options(1)});
    }
    while (next()) {}  // answers go to nobody
    peer->here = here;
    send({.flags = ACK, .seq = 101 + sent, .ack = first_iss + 1 + sent, .payload = std::string(100, 'd')});
    sent += 100;
    ASSERT_EQ(events(), event_readable);
    Chain in;
    stack->receive(first, in);
    stack->consumed(first, in.size(), now);
    in.clear();
    id = first;
    give(100);
    const auto answer = next();
    ASSERT_TRUE(answer);
    ASSERT_EQ(answer->payload.size(), 100u) << "in the same turn";
    if (turn % 100 == 50) {
      peer->here.port = static_cast<std::uint16_t>(5000 + turn);
      send({.flags = SYN, .seq = 100, .options = all_options(1)});
      const auto syn_ack = next();
      ASSERT_TRUE(syn_ack);
      send({.flags = ACK, .seq = 101, .ack = syn_ack->seq + 1, .options = timestamps(2, syn_ack->options.ts_value)});
      admitted += (events() & event_accepted) != 0;
    }
    now += 1_ms;
    stack->expire(now);
    while (next()) {}
  }
  EXPECT_EQ(admitted, 5u);
  EXPECT_EQ(stack->progress(first).acknowledged, sent - 100);
  EXPECT_LE(stack->handshake_count(), 4u);
  EXPECT_GT(counters.get(Counter::tcp_syn_cookies_sent), 19'000u);
  EXPECT_EQ(counters.get(Counter::tcp_handshakes_evicted), 0u);
}

TEST(CookieGate, RateSwitchesThemOnWithHysteresis) {
  Config c;
  c.handshakes = 1 << 20;
  c.cookie_rate = 1000;
  CookieGate gate{c};
  Nanos now{1'000'000'000};
  const auto second = [&](unsigned syns, bool completed) {
    bool on = false;
    for (unsigned i = 0; i < syns; ++i) {
      now += Nanos{1'000'000'000 / syns};
      on = gate.syn(0, now);
      if (completed) gate.completed();
    }
    return on;
  };
  EXPECT_FALSE(second(100'000, true)) << "clients that finish are no flood";
  EXPECT_FALSE(second(900, false));
  EXPECT_TRUE(second(2000, false));
  EXPECT_TRUE(second(800, false)) << "still above the half";
  EXPECT_TRUE(gate.on());
  second(100, false);
  EXPECT_FALSE(second(100, false));
}

}  // namespace
}  // namespace sluice::tcp
