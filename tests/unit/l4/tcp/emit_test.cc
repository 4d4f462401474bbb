// Offloads: what leaves a port that cuts super-segments is what leaves one that does not, byte by byte. The cutter is
// the test's own (tests/support/tcp_wire.h), checksums too.
#include "l4/tcp/emit.h"

#include "tests/unit/l4/tcp/script.h"

namespace sluice::tcp {
namespace {

struct EmitTest : ScriptTest {
  // One conversation: windows that open, odd sizes, data both ways, FIN with the last byte. Returns all that left.
  std::vector<Bytes> converse(Path way, bool timestamps) {
    now = Nanos{5'000'000'000};
    start({});
    peer->egress.way = way;
    Bytes options{2, 4, 0x05, 0xb4, 1, 3, 3, 7};
    std::uint32_t ts = 1000;
    const auto stamp = [&] {
      if (!timestamps) return Bytes{};
      Bytes out{1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0};
      put32(&out[4], ++ts);
      return out;
    };
    if (timestamps) {
      const Bytes more = stamp();
      options.insert(options.end(), more.begin(), more.end());
    }
    send({.flags = SYN, .seq = 100, .options = options});
    const auto answer = next();
    iss = answer->seq;
    send({.flags = ACK, .seq = 101, .ack = iss + 1, .window = 2000, .options = stamp()});
    EXPECT_EQ(events(), event_accepted);
    std::uint32_t sent = 0, acked = 0, theirs = 101;
    for (const std::uint32_t size : {1u, 1459u, 1460u, 1461u, 20'000u, 50'000u, 3u, 48'000u}) {
      give(size);
      if (size == 48'000u) stack->shutdown(id, now);
      for (int i = 0; i < 40; ++i) {
        while (const auto got = next())
          sent = std::max(sent, got->seq + static_cast<std::uint32_t>(got->payload.size()) - iss - 1);
        if (sent == acked) break;
        acked = sent;
        later(10_ms);
        const bool talks = i == 1;
        send({.flags = ACK,
              .seq = theirs,
              .ack = iss + 1 + acked,
              .window = 2000,
              .options = stamp(),
              .payload = talks ? std::string(700, 't') : std::string{}});
        if (talks) theirs += 700;
      }
      events();
    }
    supers = peer->egress.super_segments;
    return peer->egress.sent;
  }
  std::uint64_t supers = 0;
};

// Without PSH, which a piece that is cut has at its end, and the checksum that covers it.
Bytes unpushed(Bytes packet) {
  packet[33] &= static_cast<std::uint8_t>(~PSH);
  packet[36] = packet[37] = 0;
  return packet;
}

TEST_F(EmitTest, SuperSegmentsCutApartAreTheSegmentsOfSoftware) {
  for (const bool timestamps : {false, true}) {
    const auto cut_by_us = converse({1500, false, true}, timestamps);
    EXPECT_EQ(supers, 0u);
    const auto cut_by_port = converse({1500, true, true}, timestamps);
    EXPECT_GT(supers, 4u);
    const auto copied = converse({1500, false, false}, timestamps);
    ASSERT_GT(cut_by_us.size(), 80u);
    ASSERT_EQ(cut_by_us.size(), cut_by_port.size());
    for (std::size_t i = 0; i < cut_by_us.size(); ++i) {
      ASSERT_EQ(unpushed(cut_by_us[i]), unpushed(cut_by_port[i])) << "packet " << i;
      ASSERT_EQ(cut_by_us[i], copied[i]) << "packet " << i << " of a port that gathers nothing";
    }
    EXPECT_EQ(cut_by_us.back()[33] & FIN, FIN);
  }
}

// As Linux: five of the first ten segments and PSH at their end, so that their ACK comes while the others leave.
TEST_F(EmitTest, APieceIsHalfOfTheWindowAndIsPushed) {
  start({});
  peer->egress.way = {1500, true, true};
  establish();
  give(30'000);
  std::string pushes;
  while (const auto got = next()) pushes += got->flags & PSH ? 'P' : '.';
  EXPECT_EQ(pushes, "....P....P");
  EXPECT_EQ(peer->egress.super_segments, 2u);
}

// As Linux: a far peer is sent a millisecond's worth in one piece, two segments at least.
TEST_F(EmitTest, APieceForAFarPeerIsSmall) {
  start({});
  peer->egress.way = {1500, true, true};
  send({.flags = SYN, .seq = 100, .options = {2, 4, 0x05, 0xb4}});
  iss = next()->seq;
  later(100_ms);
  send({.flags = ACK, .seq = 101, .ack = iss + 1});
  events();
  give(30'000);
  std::string pushes;
  while (const auto got = next()) pushes += got->flags & PSH ? 'P' : '.';
  EXPECT_EQ(pushes, ".P.P.P.P.P");
}

// RFC 2861, with pieces: the first after silence is no larger than the window that the silence left.
TEST_F(EmitTest, TheFirstPieceAfterSilenceFitsTheRestartedWindow) {
  start({});
  peer->egress.way = {1500, true, true};
  establish({2, 4, 0x05, 0xb4, 1, 3, 3, 7});
  for (std::uint32_t acked = 0; acked < 100 * 1460;) {
    give(10 * 1460);
    while (next()) {}
    acked += 10 * 1460;
    send({.flags = ACK, .seq = 101, .ack = iss + 1 + acked, .window = 60'000});
    events();
  }
  ASSERT_GT(info().cwnd_segments, 15u);
  later(10_s);
  give(60 * 1460);
  unsigned count = 0;
  while (next()) ++count;
  EXPECT_EQ(count, 10u);
}

}  // namespace
}  // namespace sluice::tcp
