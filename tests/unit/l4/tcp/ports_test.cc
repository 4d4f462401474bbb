// Ports of active opens: reused by timestamp out of TIME-WAIT (RFC 6191), over several addresses, past those that stay.
#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>

#include "l4/tcp/stack.h"
#include "tests/support/tcp_wire.h"

namespace sluice::tcp {
namespace {

using test::Bytes;
using test::get32;
using test::put32;

constexpr std::uint8_t FIN = 1, SYN = 2, ACK = 16;

struct Sent {
  IpAddress local;
  std::uint16_t port = 0;
  std::uint8_t flags = 0;
  std::uint32_t seq = 0, ack = 0, ts = 0;
};

class Wire final : public Egress {
 public:
  std::deque<Sent> sent;
  Path path(const IpAddress&, const IpAddress&, PathCache&) override { return {1500, false, true}; }
  void send(Packet packet, const IpAddress& local, const IpAddress&, PathCache&, Nanos) override {
    const std::uint8_t* tcp = packet.data() + 20;
    // SYN: MSS, SACK permitted, timestamps; else NOP, NOP, timestamps.
    sent.push_back({local, static_cast<std::uint16_t>(tcp[0] << 8 | tcp[1]), tcp[13], get32(tcp + 4), get32(tcp + 8),
                    get32(tcp + (tcp[13] & SYN ? 28 : 24))});
  }
};

// A server that accepts all, and closes when it is told FIN.
struct PortsTest : testing::Test {
  static constexpr unsigned count = 512;
  Buffers buffers{"tcp_ports_test", count, count, 0, -1};
  Counters counters;
  Nanos now{1'000'000'000'000};
  Endpoint server{*parse_ip("198.51.100.7"), 8080};
  std::optional<Stack> stack;
  Wire wire;
  std::uint64_t finished = 0, refused = 0;
  bool timestamps = true;

  void start(std::initializer_list<const char*> addresses, std::uint16_t ports, std::uint32_t time_waits) {
    Config c;
    c.connections = 256;
    c.handshakes = 4;
    c.time_waits = time_waits;
    c.transmit_records = 512;
    c.held_buffers_max = 256;
    c.timestamps = timestamps;
    for (const char* address : addresses)
      c.sources[c.source_count++] = {*parse_ip(address), 20000, static_cast<std::uint16_t>(20000 + ports - 1)};
    stack.emplace(c, buffers, counters, Nanos{});
  }
  void answer(const Sent& to, std::uint8_t flags, std::uint32_t seq, std::uint32_t ack) {
    const std::uint32_t options = timestamps ? 12 : 0;
    Bytes ip(40 + options, 0);
    ip[0] = 0x45;
    ip[8] = 64;
    ip[9] = 6;
    std::copy_n(&server.address.bytes[12], 4, &ip[12]);
    std::copy_n(&to.local.bytes[12], 4, &ip[16]);
    std::uint8_t* tcp = &ip[20];
    tcp[0] = static_cast<std::uint8_t>(server.port >> 8);
    tcp[1] = static_cast<std::uint8_t>(server.port);
    tcp[2] = static_cast<std::uint8_t>(to.port >> 8);
    tcp[3] = static_cast<std::uint8_t>(to.port);
    put32(tcp + 4, seq);
    put32(tcp + 8, ack);
    tcp[12] = static_cast<std::uint8_t>((20 + options) / 4 << 4);
    tcp[13] = flags;
    tcp[14] = tcp[15] = 0xff;
    if (timestamps) {
      tcp[20] = tcp[21] = 1;
      tcp[22] = 8;
      tcp[23] = 10;
      put32(tcp + 24, static_cast<std::uint32_t>(now.millis()));
      put32(tcp + 28, to.ts);
    }
    test::fill_checksums(ip);
    if (Packet packet = test::arrive(ip, buffers, counters)) stack->input(std::move(packet), now);
  }
  void work() {
    for (;;) {
      stack->output(wire, now);
      if (wire.sent.empty()) return;
      const Sent s = wire.sent.front();
      wire.sent.pop_front();
      if (s.flags & SYN) answer(s, SYN | ACK, 7000, s.seq + 1);
      else if (s.flags & FIN) answer(s, FIN | ACK, 7001, s.seq + 1);
      for (auto events = stack->take_events(); !events.empty(); events = stack->take_events())
        for (const Event& e : events) {
          if (e.bits & event_connected) stack->shutdown(e.id, now);
          if (e.bits & event_closed) {
            EXPECT_FALSE(e.bits & (event_reset | event_timed_out));
            stack->release(e.id, now);
            ++finished;
          }
        }
    }
  }
  void open() {
    if (!stack->connect({.remote = server}, now)) ++refused;
  }
  // Opened and closed at that rate, evenly.
  void run(std::uint32_t per_second, std::uint32_t seconds) {
    const Nanos step{1'000'000};
    std::uint32_t owed = 0;
    for (const Nanos end = now + Nanos{1'000'000'000} * seconds; now < end; now += step) {
      for (owed += per_second; owed >= 1000; owed -= 1000) open();
      work();
      stack->expire(now);
    }
  }
};

TEST_F(PortsTest, TenMinutesToOneEndpointNeverLackAPort) {
  // The share of the ports that a second takes is that of 50,000 connections/s over one address; see
  // FullRateToOneEndpoint for the real rate.
  start({"192.0.2.1"}, 500, 4096);
  run(450, 600);
  EXPECT_EQ(refused, 0u);
  EXPECT_EQ(finished, 450u * 600);
  EXPECT_GT(counters.get(Counter::tcp_time_wait_reused), 260'000u);
  EXPECT_EQ(stack->connection_count(), 0u);
}

TEST_F(PortsTest, SeveralAddressesCarryWhatOneCannot) {
  start({"192.0.2.1"}, 100, 4096);
  run(250, 5);
  EXPECT_GT(refused, 0u) << "a port waits a second at least";
  refused = finished = 0;
  start({"192.0.2.1", "192.0.2.2", "192.0.2.3"}, 100, 4096);
  run(250, 20);
  EXPECT_EQ(refused, 0u);
  EXPECT_EQ(finished, 250u * 20);
}

TEST_F(PortsTest, ASmallTableForgetsTheOldestAndPortsStayFree) {
  start({"192.0.2.1"}, 500, 64);
  run(2000, 20);
  EXPECT_EQ(refused, 0u);
  EXPECT_LE(stack->time_wait_count(), 64u);
  EXPECT_GT(counters.get(Counter::tcp_time_wait_recycled), 30'000u);
}

TEST_F(PortsTest, WithoutTimestampsATupleWaitsItsTime) {
  timestamps = false;
  start({"192.0.2.1"}, 50, 4096);
  for (int i = 0; i < 60; ++i) {
    open();
    work();
  }
  EXPECT_EQ(refused, 10u);
  run(0, 59);
  open();
  EXPECT_EQ(refused, 11u);
  run(0, 2);
  open();
  EXPECT_EQ(refused, 11u);
}

TEST_F(PortsTest, ConnectionsThatStaySideBySideAreNoWall) {
  start({"192.0.2.1"}, 10000, 4096);
  std::vector<ConnId> stay;
  for (int i = 0; i < 200; ++i) {
    const auto id = stack->connect({.remote = server}, now);
    ASSERT_TRUE(id);
    stay.push_back(*id);
  }
  std::uint64_t others = 0;
  for (int round = 0; round < 12000; ++round) {
    const auto id = stack->connect({.remote = server}, now);
    ASSERT_TRUE(id) << round;
    stack->abort(*id, now);
    stack->release(*id, now);
    stack->take_events();
    stack->output(wire, now);
    wire.sent.clear();
    ++others;
  }
  EXPECT_EQ(others, 12000u);
}

// A moment of it; `./dev soak` asks for ten minutes.
TEST_F(PortsTest, FullRateToOneEndpoint) {
  const char* asked = std::getenv("SLUICE_FULL_RATE_SECONDS");
  const unsigned seconds = asked ? static_cast<unsigned>(std::atoi(asked)) : 2;
  start({"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}, 45000, 262144);
  run(150'000, seconds);
  EXPECT_EQ(refused, 0u);
  EXPECT_EQ(finished, 150'000ull * seconds);
}

}  // namespace
}  // namespace sluice::tcp
