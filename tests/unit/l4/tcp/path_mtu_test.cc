// What the path takes: ICMP (RFC 1191, RFC 8201) believed as far as RFC 5927 has it, and black holes (RFC 4821).
#include "l4/tcp/engine.h"
#include "tests/unit/l4/tcp/script.h"

namespace sluice::tcp {
namespace {

std::uint16_t icmp_sum(const std::uint8_t* at, std::size_t size) {
  return static_cast<std::uint16_t>(~sum16(at, size) & 0xffff);
}

struct PathMtuTest : ScriptTest {
  // An error about our segment with sequence number `seq`, in words of RFC 792.
  void icmp(std::uint8_t type, std::uint8_t code, std::uint16_t mtu, std::uint32_t seq,
            std::uint16_t quoted_size = 1500) {
    Bytes ip(20 + 8 + 20 + 8, 0);
    ip[0] = 0x45;
    ip[3] = static_cast<std::uint8_t>(ip.size());
    ip[8] = 64;
    ip[9] = 1;
    const IpAddress router = *parse_ip("203.0.113.1");
    std::copy_n(&router.bytes[12], 4, &ip[12]);
    std::copy_n(&peer->there.address.bytes[12], 4, &ip[16]);
    const std::uint16_t sum = icmp_sum(ip.data(), 20);
    ip[10] = sum >> 8;
    ip[11] = sum & 0xff;
    std::uint8_t* error = &ip[20];
    error[0] = type;
    error[1] = code;
    error[6] = mtu >> 8;
    error[7] = mtu & 0xff;
    std::uint8_t* inner = error + 8;
    inner[0] = 0x45;
    inner[2] = quoted_size >> 8;
    inner[3] = quoted_size & 0xff;
    inner[8] = 60;
    inner[9] = 6;
    std::copy_n(&peer->there.address.bytes[12], 4, inner + 12);
    std::copy_n(&peer->here.address.bytes[12], 4, inner + 16);
    inner[20] = peer->there.port >> 8;
    inner[21] = peer->there.port & 0xff;
    inner[22] = peer->here.port >> 8;
    inner[23] = peer->here.port & 0xff;
    put32(inner + 24, seq);
    const std::uint16_t icmp = icmp_sum(error, ip.size() - 20);
    error[2] = icmp >> 8;
    error[3] = icmp & 0xff;
    Packet packet = arrive(ip, buffers, counters);
    ASSERT_TRUE(packet);
    stack->input_icmp(std::move(packet), now);
  }
  void too_big(std::uint16_t mtu, std::uint32_t seq) { icmp(3, 4, mtu, seq); }
  // What leaves now.
  std::vector<std::pair<std::uint32_t, std::size_t>> sent() {
    std::vector<std::pair<std::uint32_t, std::size_t>> out;
    while (const auto got = next()) out.emplace_back(got->seq - iss, got->payload.size());
    return out;
  }
  using Sent = std::vector<std::pair<std::uint32_t, std::size_t>>;
};

TEST_F(PathMtuTest, TooBigIsCutAndSentAgainAtOnceAndTheWindowStays) {
  establish();
  give(4380);
  EXPECT_EQ(sent(), (Sent{{1, 1460}, {1461, 1460}, {2921, 1460}}));
  const auto before = info();
  too_big(1240, iss + 1);
  EXPECT_EQ(sent(), (Sent{{1, 1200}, {1201, 260}, {1461, 1200}, {2661, 260}, {2921, 1200}, {4121, 260}}));
  EXPECT_EQ(info().mss, 1200);
  EXPECT_EQ(info().path_mtu, 1240);
  EXPECT_EQ(info().cwnd_segments, before.cwnd_segments);
  EXPECT_EQ(info().ssthresh, before.ssthresh);
  EXPECT_EQ(counters.get(Counter::tcp_pmtu_reduced), 1u);
  send({.flags = ACK, .seq = 101, .ack = iss + 4381});
  give(2400);
  EXPECT_EQ(sent(), (Sent{{4381, 1200}, {5581, 1200}}));
}

TEST_F(PathMtuTest, DontFragmentIsSet) {
  establish();
  give(10);
  ASSERT_TRUE(next());
  for (const Bytes& ip : peer->egress.sent) EXPECT_EQ(ip[6] & 0x40, 0x40);
}

TEST_F(PathMtuTest, OnlyWhatIsInFlightIsBelieved) {
  establish();
  give(1460);
  EXPECT_EQ(sent(), (Sent{{1, 1460}}));
  too_big(1000, iss);         // acknowledged
  too_big(1000, iss + 1461);  // not sent
  too_big(1000, iss + 70000);
  EXPECT_EQ(info().mss, 1460);
  EXPECT_EQ(counters.get(Counter::drop_tcp_icmp), 3u);
  peer->here.port++;  // of another connection
  too_big(1000, iss + 1);
  peer->here.port--;
  EXPECT_EQ(counters.get(Counter::drop_tcp_icmp), 4u);
  too_big(1500, iss + 1);  // no news
  too_big(9000, iss + 1);
  EXPECT_EQ(info().mss, 1460);
  EXPECT_EQ(sent(), Sent{});
}

TEST_F(PathMtuTest, ThereIsAFloorAndRoutersThatDoNotSay) {
  establish();
  give(1460);
  EXPECT_EQ(sent(), (Sent{{1, 1460}}));
  icmp(3, 4, 0, iss + 1, 1500);  // RFC 1191 7.1: the plateau below 1500 is 1492
  EXPECT_EQ(info().path_mtu, 1492);
  EXPECT_EQ(sent(), (Sent{{1, 1452}, {1453, 8}}));
  too_big(68, iss + 1);
  EXPECT_EQ(info().path_mtu, 552);
  EXPECT_EQ(sent(), (Sent{{1, 512}, {513, 512}, {1025, 428}}));
}

TEST_F(PathMtuTest, ItIsKnownToNewConnectionsToThereAndForgottenAfterTenMinutes) {
  establish();
  give(1460);
  EXPECT_EQ(sent().size(), 1u);
  too_big(1240, iss + 1);
  EXPECT_EQ(sent().size(), 2u);
  send({.flags = RST, .seq = 101});
  events();
  stack->release(id, now);
  peer->here.port++;
  establish();
  EXPECT_EQ(info().mss, 1200);
  peer->here.address = *parse_ip("192.0.2.9");
  establish();
  EXPECT_EQ(info().mss, 1460) << "another way";
  peer->here.address = *parse_ip("192.0.2.1");
  peer->here.port++;
  now += 601_s;
  stack->expire(now);
  while (next()) {}
  establish();
  EXPECT_EQ(info().mss, 1460);
  give(1460);
  EXPECT_EQ(sent(), (Sent{{1, 1460}}));
}

TEST_F(PathMtuTest, UnreachableEndsAnOpenAndIsOnlyRememberedAfterwards) {
  const auto opened = stack->connect({.remote = peer->here, .local = peer->there.address, .local_port = 30000}, now);
  ASSERT_TRUE(opened);
  const auto syn = next();
  ASSERT_TRUE(syn);
  peer->there.port = 30000;
  icmp(3, 1, 0, syn->seq + 1);
  EXPECT_EQ(events(), 0) << "not our SYN";
  icmp(3, 1, 0, syn->seq);
  EXPECT_EQ(events(), event_reset | event_closed);
  EXPECT_EQ(info().unreachable, Unreachable::host);
  stack->release(*opened, now);

  peer->there.port = 80;
  establish();
  give(100);
  EXPECT_EQ(sent().size(), 1u);
  icmp(3, 3, 0, iss + 1);
  EXPECT_EQ(events(), 0);
  EXPECT_EQ(state(), State::established);
  EXPECT_EQ(info().unreachable, Unreachable::port);
}

TEST_F(PathMtuTest, UnreachableEndsAHalfOpenOne) {
  send({.flags = SYN, .seq = 100});
  const auto answer = next();
  ASSERT_TRUE(answer);
  icmp(3, 3, 0, answer->seq);  // as Linux: a port's is not enough
  EXPECT_EQ(stack->handshake_count(), 1u);
  icmp(3, 1, 0, answer->seq);
  EXPECT_EQ(stack->handshake_count(), 0u);
}

// A full segment vanishes twice, a smaller one arrives; then ten quiet minutes pass.
struct BlackHoleTest : PathMtuTest {
  std::uint32_t acked = 0;
  void ack(std::uint32_t bytes) {
    acked = bytes;
    now += 10_ms;
    send({.flags = ACK, .seq = 101, .ack = iss + 1 + bytes});
  }
  // Everything arrives, whatever it is cut into.
  void carry(std::uint32_t bytes) {
    give(bytes);
    const std::uint32_t end = acked + bytes;
    for (int i = 0; i < 100 && acked < end; ++i) {
      std::uint32_t last = acked;
      for (const auto& [seq, size] : sent()) {
        EXPECT_LE(size, 1024u);
        last = std::max(last, seq - 1 + static_cast<std::uint32_t>(size));
      }
      ack(last);
    }
    ASSERT_EQ(acked, end);
  }
  void fall_in() {
    give(1460);
    EXPECT_EQ(sent(), (Sent{{1, 1460}}));
    later(250_ms);
    EXPECT_EQ(sent(), (Sent{{1, 1460}}));
    Sent small;
    for (int i = 0; i < 2 && counters.get(Counter::tcp_black_holes) == 0; ++i) {  // with SACK a tail probe goes first
      later(450_ms);
      small = sent();
    }
    ASSERT_FALSE(small.empty());
    EXPECT_EQ(small.front(), (std::pair<std::uint32_t, std::size_t>{1, 1024}));
    EXPECT_EQ(info().mss, 1024);
    EXPECT_EQ(counters.get(Counter::tcp_black_holes), 1u);
    ack(1024);
    sent();
    ack(1460);
    carry(60'000);
    EXPECT_EQ(counters.get(Counter::tcp_mtu_probes), 0u);
    now += 601_s;
    stack->expire(now);
    while (next()) {}
    ack(acked);
  }
};

TEST_F(BlackHoleTest, IsFoundAndLeftAgain) {
  establish();
  fall_in();
  // One larger segment, with others behind it that show whether it is missing.
  give(20'000);
  const Sent out = sent();
  ASSERT_GE(out.size(), 4u);
  EXPECT_EQ(out.front(), (std::pair<std::uint32_t, std::size_t>{acked + 1, 1460}));
  for (std::size_t i = 1; i < out.size(); ++i) EXPECT_LE(out[i].second, 1024u);
  EXPECT_EQ(counters.get(Counter::tcp_mtu_probes), 1u);
  ack(acked + 1460);
  EXPECT_EQ(counters.get(Counter::tcp_mtu_probes_answered), 1u);
  EXPECT_EQ(info().mss, 1460);
}

TEST_F(BlackHoleTest, StaysFoundInAnImage) {
  establish();
  fall_in();
  Bytes image(stack->image_size(id));
  ASSERT_EQ(stack->export_image(id, image, now), image.size());
  stack->forget(id);
  const auto in = stack->import_image(image, 1, now);
  ASSERT_TRUE(in);
  id = *in;
  carry(5000);
}

TEST_F(BlackHoleTest, AProbeThatIsLostIsNoSignOfCongestion) {
  establish({2, 4, 0x05, 0xb4, 4, 2, 1, 1});
  fall_in();
  give(20'000);
  const Sent out = sent();
  ASSERT_GE(out.size(), 5u);
  ASSERT_EQ(out.front().second, 1460u);
  const auto before = info();
  // All behind the probe arrives.
  const std::uint32_t begin = iss + out[1].first, end = iss + out[4].first + static_cast<std::uint32_t>(out[4].second);
  Bytes sack{1, 1, 5, 10, 0, 0, 0, 0, 0, 0, 0, 0};
  put32(&sack[4], begin);
  put32(&sack[8], end);
  now += 10_ms;
  for (int i = 0; i < 3; ++i) send({.flags = ACK, .seq = 101, .ack = iss + 1 + acked, .options = sack});
  later(20_ms);
  const Sent again = sent();
  ASSERT_FALSE(again.empty());
  EXPECT_EQ(again.front(), (std::pair<std::uint32_t, std::size_t>{acked + 1, 1024})) << "in pieces that pass";
  EXPECT_EQ(info().ssthresh, before.ssthresh);
  EXPECT_GE(info().cwnd, before.cwnd);
  EXPECT_EQ(info().mss, 1024);
}

TEST_F(PathMtuTest, Ipv6HasItsOwnFloor) {
  Core core{Config{}, buffers, counters};
  Tcb t;
  Transit transit;
  t.transit = &transit;
  t.key.local = *parse_ip("2001:db8::1");
  t.key.remote = *parse_ip("2001:db8::2");
  t.peer_mss = 1440;
  sync_mss(t, core, now);
  EXPECT_EQ(t.mss, 1440);
  EXPECT_FALSE(path_mtu_told(t, core, 1279, now)) << "RFC 8201 4";
  EXPECT_EQ(t.mss, 1440);
  EXPECT_TRUE(path_mtu_told(t, core, 1280, now));
  EXPECT_EQ(t.mss, 1220);
  EXPECT_EQ(core.path_mtus.find(t.key.remote, now + 599_s), 1280);
  EXPECT_EQ(core.path_mtus.find(t.key.remote, now + 600_s), 0);
}

TEST(PathMtus, AFullTableForgetsTheOldest) {
  PathMtus table{SipHash::Key{1}, 4};
  for (std::uint8_t i = 1; i <= 5; ++i) table.learn(IpAddress::from_v4(0x0a000000u + i), 1000, Nanos{1_s} * i);
  EXPECT_EQ(table.find(IpAddress::from_v4(0x0a000001), 6_s), 0);
  for (std::uint8_t i = 2; i <= 5; ++i) EXPECT_EQ(table.find(IpAddress::from_v4(0x0a000000u + i), 6_s), 1000);
  EXPECT_EQ(table.size(), 4u);
  const std::uint16_t version = table.version();
  table.expire(603_s);
  EXPECT_EQ(table.size(), 2u);
  EXPECT_NE(table.version(), version);
}

}  // namespace
}  // namespace sluice::tcp
