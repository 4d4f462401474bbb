// covers: dataplane/net/host.cc dataplane/net/arp.cc dataplane/net/nd.cc dataplane/net/icmp.cc
// dataplane/net/neighbours.cc fuzz_host.cc - a sequence of frames at a host, with time between them: nothing is read
// beyond a frame's bounds, no buffer is lost, and the bounds of neighbours hold. Input: records of (length,
// milliseconds, what to do, frame).
#include <algorithm>
#include <cstdlib>

#include "dataplane/net/host.h"
#include "dataplane/packet/emit.h"
#include "dataplane/packet/parse.h"
#include "dataplane/port/memory_port.h"
#include "tests/support/eal_main.h"

namespace sluice {
namespace {

constexpr unsigned pool_size = 1023;
constexpr MacAddress our_mac{{2, 0, 0, 0, 0, 1}};

Routes make_routes() {
  return *Routes::compile({{.port = 0,
                            .mac = our_mac,
                            .addresses = {*parse_prefix("192.0.2.1/24"), *parse_prefix("2001:db8::1/64")},
                            .exception_port = 1}},
                          {{*parse_prefix("0.0.0.0/0"), *parse_ip("192.0.2.2")}});
}

void run(ByteView script, const Routes& routes, Buffers& buffers) {
  Counters counters;
  MemoryPort wire{{.mac = our_mac}, buffers}, kernel{{}, buffers};
  TxQueue wire_queue{wire, 0, buffers, counters}, kernel_queue{kernel, 0, buffers, counters};
  std::array<TxQueue*, 2> queues{&wire_queue, &kernel_queue};
  Host host{routes, queues, buffers, counters, {.neighbours = {.capacity = 32}}};
  Nanos now{};
  Reader in{script};
  while (in.left() > 0) {
    const std::size_t size = in.u8();
    now += Nanos{1'000'000} * in.u8() * 16;
    const std::uint8_t action = in.u8();
    const ByteView frame = in.view(std::min(size, in.left()));
    host.tick(now);
    Packet packet = buffers.make();
    CHECK(packet);
    std::copy(frame.begin(), frame.end(), packet.data());
    packet.get()->data_len = packet.get()->pkt_len = static_cast<std::uint16_t>(frame.size());
    packet.meta().port = 0;
    if (action % 4 == 3) {
      NextHop hop;
      prepend_udp(packet, {*parse_ip("192.0.2.1"), IpAddress::from_v4(192u << 24 | 2 << 8 | action)}, 1, 2);
      host.send(std::move(packet), hop, now);
    } else if (parse(packet, false, counters)) {
      if (action % 4 == 0) host.input(std::move(packet), now);
      else if (action % 4 == 1) host.refuse(std::move(packet), static_cast<IcmpError>(action >> 2 & 3), 1400, now);
      else host.to_exception(std::move(packet), now);
    }
    for (const NeighbourNews& news : host.take_news()) host.learn(news, now);
    CHECK(host.neighbours().size() <= 32 && host.neighbours().unresolved() <= 8 + routes.gateways().size());
    for (TxQueue* queue : queues) queue->flush(now);
    while (wire.collect()) {}
    while (kernel.collect()) {}
  }
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  static const bool started = test::start_eal("fuzz_host", "64");
  CHECK(started);
  static Buffers buffers{"fuzz_host", pool_size, 63, 0, -1};
  static const Routes routes = make_routes();
  run({data, std::min<std::size_t>(size, 4096)}, routes, buffers);
  CHECK(buffers.data_free() == pool_size);
  return 0;
}
