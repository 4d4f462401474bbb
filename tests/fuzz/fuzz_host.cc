// covers: dataplane/net/host.cc dataplane/net/arp.cc dataplane/net/nd.cc dataplane/net/icmp.cc
// covers: dataplane/net/neighbours.cc
// A sequence of frames at a host, with time between them and changes of routes and services: nothing is read beyond a
// frame's bounds, no buffer is lost, and the bounds of neighbours hold. Input: records of (length, units of 16 ms, what
// to do, frame).
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

Routes make_routes(const char* gateway) {
  return *Routes::compile({{.port = 0,
                            .mac = our_mac,
                            .addresses = {*parse_prefix("192.0.2.1/24"), *parse_prefix("2001:db8::1/64")},
                            .exception_port = 1}},
                          {{*parse_prefix("0.0.0.0/0"), *parse_ip(gateway)}});
}

// What there is to change between.
struct World {
  Buffers buffers{"fuzz_host", pool_size, 63, 0, -1};
  const Routes routes[2] = {make_routes("192.0.2.2"), make_routes("192.0.2.3")};
  const AddressSet services[2] = {
      AddressSet{{*parse_prefix("192.0.2.200/32"), *parse_prefix("2001:db8::200/128")}},
      AddressSet{{*parse_prefix("192.0.2.200/32"), *parse_prefix("192.0.2.64/26"), *parse_prefix("10.0.0.1/32")}}};
};

// What management and the kernel do to a host.
void change(Host& host, const World& world, std::uint8_t action, Packet packet, Nanos now) {
  switch (action >> 2 & 7) {
    case 0: host.set_routes(world.routes[action & 1]); break;
    case 1: host.set_services(&world.services[action & 1]); break;
    case 2: host.set_services(nullptr); break;
    case 3: host.announce(); break;
    default:
      packet.meta().port = action & 1;
      CHECK(host.is_exception_port(1) && !host.is_exception_port(0));
      return host.from_exception(std::move(packet), now);
  }
}

void run(ByteView script, World& world) {
  Buffers& buffers = world.buffers;
  Counters counters;
  MemoryPort wire{{.mac = our_mac}, buffers}, kernel{{}, buffers};
  TxQueue wire_queue{wire, 0, buffers, counters}, kernel_queue{kernel, 0, buffers, counters};
  std::array<TxQueue*, 2> queues{&wire_queue, &kernel_queue};
  Host host{world.routes[0], queues, buffers, counters, {.neighbours = {.capacity = 32}}};
  Nanos now{};
  NextHop kept;  // as a connection keeps it, across changes of routes
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
      const IpAddress to = IpAddress::from_v4(192u << 24 | 2 << 8 | action);
      NextHop fresh, &hop = action & 4 ? kept : fresh;
      if (action & 8) host.confirm(kept, now);
      if (host.route(to)) CHECK(host.source(host.route(to), to) == *parse_ip("192.0.2.1"));
      prepend_udp(packet, {*parse_ip("192.0.2.1"), to}, 1, 2);
      host.send(std::move(packet), hop, now);
      if (hop) CHECK(host.current(hop) && host.port(hop) == 0 && &host.caps(hop) == &wire_queue.caps());
    } else if (action >= 0xe0) {
      change(host, world, action, std::move(packet), now);
    } else if (parse(packet, false, counters)) {
      if (const auto reason = host.not_ours(packet)) {
        CHECK(*reason == Counter::drop_not_addressed || *reason == Counter::drop_no_interface);
        if (action & 0x10) {
          drop(std::move(packet), *reason, counters);
          continue;
        }
      }
      if (action % 4 == 0) host.input(std::move(packet), now);
      else if (action % 4 == 1) host.refuse(std::move(packet), static_cast<IcmpError>(action >> 2 & 3), 1400, now);
      else host.to_exception(std::move(packet), now);
    }
    for (const NeighbourNews& news : host.take_news()) host.learn(news, now);
    CHECK(host.neighbours().size() <= 32 && host.neighbours().unresolved() <= 8 + 1);  // and the gateway
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
  static World world;
  run({data, std::min<std::size_t>(size, 4096)}, world);
  CHECK(world.buffers.data_free() == pool_size);
  return 0;
}
