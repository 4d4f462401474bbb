// Two stacks over an impaired link in virtual time: what is sent arrives, exactly, both ways, and no buffer is lost.
#include "l4/tcp/stack.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/tcp_wire.h"

namespace sluice::tcp {
namespace {

using test::Bytes;
using test::Impairment;
using test::Link;

constexpr std::uint16_t service_port = 80;
const IpAddress client_address = *parse_ip("192.0.2.1"), server_address = *parse_ip("198.51.100.7");

struct AnyListener {
  std::optional<ListenerId> find(const IpAddress&, std::uint16_t port, PortId) const {
    if (port != service_port) return {};
    return 7;
  }
};

Config config_of(std::uint8_t secret) {
  Config c;
  c.connections = 64;
  c.handshakes = 16;
  c.time_waits = 32;
  c.transmit_records = 4096;
  c.held_buffers_max = 4096;
  c.out_of_order_buffers_max = 1024;
  c.secret[0] = secret;
  c.sources[0] = {client_address, 20000, 20099};
  c.source_count = 1;
  return c;
}

// One end of a transfer: sends `size` bytes of a stream that its seed makes, checks what it receives against the
// other's.
struct Side {
  Stack stack;
  Counters& counters;
  test::WireEgress egress;
  ConnId id;
  std::uint64_t seed, to_send, sent = 0, received = 0, expected = 0, peer_seed = 0;
  bool got_id = false, finished = false, closed = false, failed = false, shut = false, released = false;
  std::uint32_t consume_lag = 0;  // bytes kept unconsumed on purpose

  Side(const Config& c, Buffers& buffers, Counters& n) : stack(c, buffers, n, Nanos{}), counters(n) {}
};

std::uint8_t stream_byte(std::uint64_t seed, std::uint64_t at) {
  const std::uint64_t x = (at / 8 + seed) * 0x9e3779b97f4a7c15;
  return static_cast<std::uint8_t>((x ^ x >> 29) >> (8 * (at % 8)));
}

struct TransferTest : testing::Test {
  static constexpr unsigned data_count = 16384, slice_count = 16384;
  Buffers buffers{"tcp_stack_test", data_count, slice_count, 0, -1};
  Counters counters_a, counters_b;
  Nanos now{1'000'000'000};
  Rng rng{1};

  void SetUp() override { ASSERT_TRUE(buffers.ok()); }
  void TearDown() override {
    EXPECT_EQ(buffers.data_free(), data_count) << "a buffer is lost";
    EXPECT_EQ(buffers.slices_free(), slice_count) << "a descriptor is lost";
  }

  void act(Side& side) {
    for (auto events = side.stack.take_events(); !events.empty(); events = side.stack.take_events()) {
      for (const Event& e : events) {
        if (e.bits & event_accepted) {
          side.id = e.id;
          side.got_id = true;
          EXPECT_EQ(e.listener, 7u);
        }
        if (side.id != e.id) continue;
        if (e.bits & event_connected) side.got_id = true;
        if (e.bits & event_finished) side.finished = true;
        if (e.bits & (event_reset | event_timed_out)) side.failed = true;
        if (e.bits & event_closed) side.closed = true;
      }
    }
    if (!side.got_id || side.released) return;
    Chain in;
    side.stack.receive(side.id, in);
    if (const std::uint32_t size = in.size()) {
      std::vector<std::uint8_t> content(size);
      in.peek(0, content);
      for (std::uint32_t i = 0; i < size; ++i)
        ASSERT_EQ(content[i], stream_byte(side.peer_seed, side.received + i)) << side.received + i;
      side.received += size;
      in.clear();
      side.stack.consumed(side.id, size, now);
    }
    while (side.sent < side.to_send) {
      const std::uint32_t room = side.stack.send_room(side.id);
      if (room == 0) break;
      const auto size =
          static_cast<std::uint32_t>(std::min<std::uint64_t>({room, side.to_send - side.sent, 1 + rng.below(20000)}));
      std::vector<std::uint8_t> content(size);
      for (std::uint32_t i = 0; i < size; ++i) content[i] = stream_byte(side.seed, side.sent + i);
      Chain out;
      ASSERT_TRUE(out.append_bytes(content, buffers));
      side.stack.send(side.id, std::move(out));
      side.sent += size;
    }
    if (side.sent == side.to_send && !side.shut) {
      side.stack.shutdown(side.id, now);
      side.shut = true;
    }
    if (side.closed && side.finished && !side.released) {
      side.stack.release(side.id, now);
      side.released = true;
    }
  }

  void carry(Side& from, Side& to, Link& link) {
    from.stack.output(from.egress, now);
    for (Bytes& packet : from.egress.sent) link.push(std::move(packet), now);
    from.egress.sent.clear();
  }

  // Runs until both sides are done or the virtual time is over.
  void transfer(std::uint64_t up, std::uint64_t down, Impairment impairment, Config ca, Config cb, Path way,
                std::uint64_t seed = 1, Nanos limit = 600_s) {
    rng = Rng{seed};
    AnyListener listener;
    {
      Side a{ca, buffers, counters_a}, b{cb, buffers, counters_b};
      a.egress.way = b.egress.way = way;
      Link ab{impairment, seed * 2 + 1}, ba{impairment, seed * 2 + 2};
      a.stack.set_listeners(ListenerView{&listener});
      b.stack.set_listeners(ListenerView{&listener});
      a.seed = b.peer_seed = seed + 100;
      b.seed = a.peer_seed = seed + 200;
      a.to_send = b.expected = up;
      b.to_send = a.expected = down;
      const auto id = a.stack.connect({.remote = {server_address, service_port}}, now);
      ASSERT_TRUE(id);
      a.id = *id;
      const Nanos start = now;
      while (now - start < limit && !(a.released && b.released)) {
        for (Bytes p = ba.pop(now); !p.empty(); p = ba.pop(now))
          if (Packet in = test::arrive(p, buffers, counters_a)) a.stack.input(std::move(in), now);
        for (Bytes p = ab.pop(now); !p.empty(); p = ab.pop(now))
          if (Packet in = test::arrive(p, buffers, counters_b)) b.stack.input(std::move(in), now);
        act(a);
        act(b);
        if (HasFatalFailure()) return;
        carry(a, b, ab);
        carry(b, a, ba);
        const Nanos timers = std::min(a.stack.expire(now), b.stack.expire(now));
        act(a);
        act(b);
        carry(a, b, ab);
        carry(b, a, ba);
        const Nanos next = std::min({timers, ab.next(), ba.next()});
        now = std::max(now + Nanos{100'000}, std::min(next, now + 1_s));
      }
      took = now - start;
      EXPECT_FALSE(a.failed || b.failed);
      EXPECT_EQ(a.received, down);
      EXPECT_EQ(b.received, up);
      EXPECT_TRUE(a.finished && b.finished);
      EXPECT_TRUE(a.released && b.released);
      EXPECT_EQ(a.stack.held_buffers() + b.stack.held_buffers(), 0u);
      EXPECT_EQ(a.stack.connection_count() + b.stack.connection_count(), 0u);
      EXPECT_EQ(a.stack.handshake_count() + b.stack.handshake_count(), 0u);
      super_segments = a.egress.super_segments + b.egress.super_segments;
      // Frames still on the link belong to nobody: only bytes, no buffers.
    }
  }
  Nanos took{};
  std::uint64_t super_segments = 0;
};

constexpr std::uint64_t mb = 1 << 20;
const Path plain{1500, false, true}, copying{1500, false, false}, super{1500, true, true};

TEST_F(TransferTest, MegabytesBothWaysOverACleanLink) {
  transfer(3 * mb, 2 * mb, {}, config_of(1), config_of(2), plain);
  EXPECT_EQ(counters_a.get(Counter::tcp_retransmitted_segments) + counters_b.get(Counter::tcp_retransmitted_segments),
            0u);
  EXPECT_LT(took.millis(), 2000);
}

TEST_F(TransferTest, NothingToSayEitherWay) { transfer(0, 0, {}, config_of(1), config_of(2), plain); }

TEST_F(TransferTest, APortThatTakesNoSharedBuffersGetsOneCopy) {
  transfer(2 * mb, 1 * mb, {}, config_of(1), config_of(2), copying);
  EXPECT_GE(counters_a.get(Counter::payload_copied_bytes), 2 * mb);
  EXPECT_LT(counters_a.get(Counter::payload_copied_bytes), 2 * mb + mb / 2);
}

TEST_F(TransferTest, SuperSegmentsWhereThePortCutsThem) {
  transfer(4 * mb, 0, {}, config_of(1), config_of(2), super);
  EXPECT_GT(super_segments, 50u);
}

TEST_F(TransferTest, SurvivesLossReorderingDuplicationAndCorruption) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(seed);
    Impairment bad{.delay = 5_ms,
                   .jitter = seed % 2 ? Nanos{} : Nanos{3_ms},
                   .loss_ppm = 20'000,
                   .duplicate_ppm = 10'000,
                   .reorder_ppm = 30'000,
                   .corrupt_ppm = 2'000};
    transfer(1 * mb, 1 * mb, bad, config_of(1), config_of(2),
             seed % 3 == 0   ? super
             : seed % 3 == 1 ? plain
                             : copying,
             seed);
    if (HasFailure()) return;
  }
  EXPECT_GT(counters_a.get(Counter::tcp_retransmitted_segments), 0u);
}

TEST_F(TransferTest, SurvivesHeavyLossWithoutSackAndTimestamps) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    Config c = config_of(1);
    c.sack = seed & 1;
    c.timestamps = seed & 2;
    transfer(200'000, 200'000, {.delay = 5_ms, .loss_ppm = 50'000, .duplicate_ppm = 10'000, .reorder_ppm = 50'000}, c,
             config_of(2), plain, seed);
    if (HasFailure()) return;
  }
}

TEST_F(TransferTest, ANarrowLinkWithAShortQueueIsFilled) {
  // 10 Mbit/s, 20 packets: 2 MB take 1.7 s at best.
  transfer(2 * mb, 0, {.delay = 10_ms, .bits_per_second = 10'000'000, .queue_packets = 20}, config_of(1), config_of(2),
           plain);
  EXPECT_LT(took.millis(), 3500) << counters_a.get(Counter::tcp_retransmission_timeouts) << " timeouts, "
                                 << counters_a.get(Counter::tcp_retransmitted_segments) << " sent again, "
                                 << counters_a.get(Counter::tcp_tail_probes) << " probes";
}

}  // namespace
}  // namespace sluice::tcp
