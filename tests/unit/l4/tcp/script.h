// script.h - conversations with one stack: what a scripted peer sends, what is expected back, time by hand.
#pragma once

#include <gtest/gtest.h>

#include "tests/support/tcp_peer.h"

namespace sluice::tcp {

using namespace test;

struct AnyListener {
  std::optional<ListenerId> find(const IpAddress&, std::uint16_t port, PortId) const {
    if (port != 80) return {};
    return 7;
  }
};

struct ScriptTest : testing::Test {
  static constexpr unsigned count = 2048;
  Buffers buffers{"tcp_script_test", count, count, 0, -1};
  Counters counters;
  AnyListener listener;
  Nanos now{5'000'000'000};
  std::optional<Stack> stack;
  std::optional<Peer> peer;
  ConnId id;
  std::uint32_t iss = 0;  // of the stack
  std::uint16_t seen = 0;

  void SetUp() override { start({}); }
  void start(Config c) {
    peer.reset();
    c.connections = 8;
    c.handshakes = 4;
    c.time_waits = 4;
    c.transmit_records = 512;
    if (c.held_buffers_max > 4096) c.held_buffers_max = 1024;
    c.out_of_order_buffers_max = std::min(c.out_of_order_buffers_max, 256u);
    c.sources[0] = {*parse_ip("198.51.100.7"), 30000, 30009};
    c.source_count = 1;
    stack.emplace(c, buffers, counters, Nanos{});
    peer.emplace(*stack, buffers, counters);
    stack->set_listeners(ListenerView{&listener});
  }
  void TearDown() override {
    peer.reset();
    stack.reset();
    EXPECT_EQ(buffers.data_free(), count) << "a buffer is lost";
    EXPECT_EQ(buffers.slices_free(), count) << "a descriptor is lost";
  }
  void send(const Seg& s) { peer->send(s, now); }
  std::optional<Got> next() { return peer->next(now); }
  void later(Nanos by) {
    for (Nanos end = now + by; now < end;) {
      now += std::min(Nanos{1'000'000}, end - now);
      stack->expire(now);
    }
  }
  std::uint16_t events() {
    std::uint16_t bits = 0;
    for (auto some = stack->take_events(); !some.empty(); some = stack->take_events())
      for (const Event& e : some) {
        bits |= e.bits;
        id = e.id;
      }
    seen |= bits;
    return bits;
  }
  // Peer: ISS 100, so its first byte is 101. Ours: iss + 1.
  void establish(Bytes options = {2, 4, 0x05, 0xb4}, std::uint16_t window = 65535) {
    send({.flags = SYN, .seq = 100, .window = window, .options = options});
    const auto answer = next();
    ASSERT_TRUE(answer);
    ASSERT_EQ(answer->flags, SYN | ACK);
    iss = answer->seq;
    send({.flags = ACK, .seq = 101, .ack = iss + 1, .window = window});
    ASSERT_EQ(events(), event_accepted);
    ASSERT_FALSE(next());
  }
  void give(std::size_t size) {
    Chain out;
    ASSERT_TRUE(out.append_bytes(bytes(std::string(size, 'x')), buffers));
    stack->send(id, std::move(out));
  }
  State state() {
    Info info;
    return stack->info(id, info, now) ? info.state : State::closed;
  }
  Info info() {
    Info out;
    stack->info(id, out, now);
    return out;
  }
};

#define EXPECT_SEGMENT(want_flags, want_seq, want_ack)                                                                 \
  do {                                                                                                                 \
    const auto got_ = next();                                                                                          \
    ASSERT_TRUE(got_) << "nothing was sent";                                                                           \
    EXPECT_EQ(got_->flags & ~PSH, (want_flags)) << *got_;                                                              \
    EXPECT_EQ(got_->seq, (want_seq)) << *got_;                                                                         \
    EXPECT_EQ(got_->ack, (want_ack)) << *got_;                                                                         \
  } while (false)
#define EXPECT_SILENCE()                                                                                               \
  do {                                                                                                                 \
    const auto got_ = next();                                                                                          \
    EXPECT_FALSE(got_) << *got_;                                                                                       \
  } while (false)

}  // namespace sluice::tcp
