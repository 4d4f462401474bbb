// host_fixture.h - a host with a port on a wire, and frames in and out of it.
#pragma once

#include <gtest/gtest.h>

#include "dataplane/net/host.h"
#include "dataplane/packet/emit.h"
#include "dataplane/packet/parse.h"
#include "dataplane/port/memory_port.h"
#include "tests/support/frames.h"

namespace sluice {

using namespace literals;
namespace frames = test::frames;
using Frame = std::vector<std::uint8_t>;

constexpr MacAddress our_mac{{2, 0, 0, 0, 0, 1}}, peer_mac{{2, 0, 0, 0, 0, 2}};
inline IpAddress ip(std::string_view text) { return *parse_ip(text); }
inline Frame frame(std::string_view hex) { return frames::bytes_of(hex); }

// A host at 192.0.2.1/24 and 2001:db8::1/64 on port 0, with a gateway for the rest; port 1 may be its exception port.
struct HostTest : testing::Test {
  Buffers buffers{"host_test", 1023, 63, 0, -1};
  Counters counters;
  MemoryPort wire{{.mac = our_mac}, buffers}, kernel{{}, buffers};
  TxQueue wire_queue{wire, 0, buffers, counters}, kernel_queue{kernel, 0, buffers, counters};
  std::array<TxQueue*, 2> queues{&wire_queue, &kernel_queue};
  HostLimits limits;
  std::optional<Routes> routes;
  std::optional<Host> host;

  void SetUp() override {
    ASSERT_TRUE(buffers.ok());
    start(no_port, {});
  }
  void start(PortId exception_port, std::vector<StaticRoute> statics) {
    host.reset();
    auto compiled = Routes::compile({{.port = 0,
                                      .mac = our_mac,
                                      .addresses = {*parse_prefix("192.0.2.1/24"), *parse_prefix("2001:db8::1/64")},
                                      .exception_port = exception_port}},
                                    std::move(statics));
    ASSERT_TRUE(compiled.has_value()) << compiled.error();
    routes = std::move(*compiled);
    host.emplace(*routes, queues, buffers, counters, limits);
  }
  Packet received(const Frame& bytes, PortId port = 0) {
    Packet packet = buffers.make();
    std::memcpy(packet.data(), bytes.data(), bytes.size());
    packet.get()->data_len = packet.get()->pkt_len = static_cast<std::uint16_t>(bytes.size());
    packet.meta().port = port;
    EXPECT_TRUE(parse(packet, true, counters));
    return packet;
  }
  void input(const Frame& bytes, Nanos now = {}) { host->input(received(bytes), now); }
  std::optional<Frame> sent(MemoryPort& port) {
    wire_queue.flush({});
    kernel_queue.flush({});
    return port.collect_bytes();
  }
  std::optional<Frame> sent() { return sent(wire); }
  std::size_t sent_count() {
    std::size_t n = 0;
    while (sent()) ++n;
    return n;
  }
  Packet datagram(std::string_view from, std::string_view to) {
    Packet packet = buffers.make();
    prepend_udp(packet, {ip(from), ip(to)}, 1, 2);
    return packet;
  }
  void tick(Nanos from, Nanos to) {
    for (Nanos now = from; now < to; now += 1_ms) host->tick(now);
  }
  // A frame of ours with one byte changed and the ICMPv6 checksum made right again by difference.
  static Frame patched(Frame frame, std::size_t at, std::uint8_t value) {
    const std::size_t checksum = 14 + 40 + 2;
    std::uint32_t sum = ~(frame[checksum] << 8 | frame[checksum + 1]) & 0xffff;
    const unsigned shift = at % 2 ? 0 : 8;
    sum += (~(frame[at] << shift) & 0xffff) + (value << shift);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    frame[at] = value;
    frame[checksum] = static_cast<std::uint8_t>(~sum >> 8), frame[checksum + 1] = static_cast<std::uint8_t>(~sum);
    return frame;
  }
};

}  // namespace sluice
