// covers: l4/tcp
// fuzz_tcp.cc - sequences of segments and application calls against one stack. The input is a list of commands: a
// segment with fields near what the connection expects (any flags and options, ECN bits), a burst of data in order, the
// answers of a receiver that what was sent reached with holes, an ICMP error about one that was sent, a call, a path
// whose MTU changes, buffers that run out, or time passing. After every command the stack must
// agree with itself (audit()); after all of it everything is closed and no buffer, descriptor or connection may be left
// over.
#include <algorithm>
#include <optional>

#include "tests/support/eal_main.h"
#include "tests/support/tcp_peer.h"

namespace {

using namespace sluice;
using namespace sluice::test;
using namespace sluice::tcp;

constexpr unsigned pool_size = 1023;

struct Port80 {
  std::optional<ListenerId> find(const IpAddress&, std::uint16_t port, PortId) const {
    if (port != 80) return {};
    return 1;
  }
};

struct World {
  Buffers buffers{"fuzz_tcp", pool_size, pool_size, 0, -1};
  Counters counters;
  Port80 listener;
};

World& world() {
  static World* made = [] {
    CHECK(start_eal("fuzz_tcp", "64"));
    auto* w = new World;
    CHECK(w->buffers.ok());
    return w;
  }();
  return *made;
}

struct Run {
  Reader in;
  World& w;
  Stack stack;
  Peer peer;
  Nanos now{1'000'000'000};
  std::vector<ConnId> ids;
  std::uint32_t seq = 1000, ack = 0, ts = 1;  // what the peer would send next
  std::vector<Range> flight;                  // text and FINs that the stack sent and nobody answered
  std::vector<Range> taken;                   // of these, what a receiver has behind a hole
  std::uint32_t expected = 0;                 // by that receiver
  std::vector<Packet> hog;
  bool stamps;  // the peer has timestamps on all but SYNs

  static Config config(std::uint8_t bits) {
    Config c;
    c.connections = 4;
    c.quick_acks = 16;
    c.handshakes = 2;
    c.time_waits = 2;
    c.transmit_records = 24;
    c.transits = 3;
    c.held_buffers_max = bits & 64 ? 40 : 200;
    c.out_of_order_buffers_max = 32;
    c.receive_limit = bits & 1 ? 32 * 1024 : 128 * 1024;
    c.send_limit = 32 * 1024;
    c.sack = bits & 2;
    c.timestamps = bits & 4;
    c.sources[0] = {*parse_ip("198.51.100.7"), 80, 82};
    c.source_count = 1;
    c.settings = 2;
    c.syn_cookies = bits & 128 ? SynCookies::always : SynCookies::under_pressure;
    return c;
  }
  Run(ByteView bytes, World& world_, std::uint8_t bits)
      : in(bytes),
        w(world_),
        stack(config(bits), w.buffers, w.counters, Nanos{}),
        peer(stack, w.buffers, w.counters),
        stamps(bits & 4) {
    stack.set_listeners(ListenerView{&w.listener});
    Settings& odd = stack.settings(1);
    odd.receive_limit = odd.send_limit = 6'000;
    odd.mss_max = 300;
    odd.nagle = bits & 64;
    odd.cork = bits & 128;
    odd.delayed_ack = {};
    odd.user_timeout = Nanos{3'000'000'000};
    peer.egress.way = {static_cast<std::uint16_t>(bits & 8 ? 576 : 1500), (bits & 16) != 0, (bits & 32) != 0};
  }
  ConnId pick() { return ids.empty() ? ConnId{} : ids[in.u8() % ids.size()]; }
  void drain() {
    while (const auto got = peer.next(now)) {
      ack = std::max(ack, got->seq + static_cast<std::uint32_t>(got->payload.size()) + (got->flags & SYN ? 1 : 0) +
                              (got->flags & FIN ? 1 : 0));
      if (got->flags & SYN) {
        ack = expected = got->seq + 1;
        taken.clear();
        flight.clear();
      }
      const auto length = static_cast<std::uint32_t>(got->payload.size()) + (got->flags & FIN ? 1 : 0);
      if (length && flight.size() < 256) flight.push_back({Seq{got->seq}, Seq{got->seq} + length});
      if (got->options.has_timestamps) ts = got->options.ts_value;
    }
    for (auto events = stack.take_events(); !events.empty(); events = stack.take_events())
      for (const Event& e : events)
        if (std::find(ids.begin(), ids.end(), e.id) == ids.end()) ids.push_back(e.id);
  }
  void stamp(Seg& s) const {
    s.options = {1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0};
    put32(&s.options[4], 9 + static_cast<std::uint32_t>(now.millis()));
    put32(&s.options[8], ts);
  }
  // A receiver takes what is in flight but for the lost of sixteen, and answers each segment that it takes.
  void answer_flight() {
    const std::uint16_t lost = in.u16();
    const std::uint8_t shape = in.u8();
    if (shape & 1) std::reverse(flight.begin(), flight.end());
    for (std::size_t i = 0; i < flight.size(); ++i) {
      if (lost >> i % 16 & 1) continue;
      const Range came = flight[i];
      taken.push_back(came);
      for (bool on = true; on;) {
        on = false;
        for (const Range& r : taken)
          if (r.begin <= Seq{expected} && r.end > Seq{expected}) expected = r.end.value, on = true;
      }
      std::erase_if(taken, [&](const Range& r) { return r.end <= Seq{expected}; });
      Seg s{.flags = ACK, .seq = seq, .ack = expected};
      if (shape & 2) s.flags |= 0x40;  // ECE
      if (stamps) stamp(s);
      std::vector<Range> blocks;
      if (came.end <= Seq{expected} && shape & 4) blocks.push_back(came);  // a D-SACK
      for (auto r = taken.rbegin(); r != taken.rend() && blocks.size() < 3; ++r) blocks.push_back(*r);
      if (!blocks.empty() && !(shape & 8)) {
        Bytes sack{1, 1, 5, static_cast<std::uint8_t>(2 + 8 * blocks.size())};
        sack.resize(4 + 8 * blocks.size());
        for (std::size_t k = 0; k < blocks.size(); ++k) {
          put32(&sack[4 + 8 * k], blocks[k].begin.value);
          put32(&sack[8 + 8 * k], blocks[k].end.value);
        }
        s.options.insert(s.options.end(), sack.begin(), sack.end());
      }
      peer.send(s, now);
      if (shape & 16) now += Nanos{100'000};
    }
    flight.clear();
  }
  void burst() {
    const std::uint8_t shape = in.u8();
    std::vector<Seg> segments(1 + shape % 8);
    for (Seg& s : segments) {
      s = {.flags = ACK, .seq = seq, .ack = shape & 64 ? expected : ack};
      if (!(shape & 32)) s.payload.assign(shape & 16 ? 900 : 300, 'b');
      if (shape & 32 && expected < ack) expected += std::min(ack - expected, 1000u);
      if (stamps) stamp(s);
      if (shape & 128 && &s == &segments.back()) s.flags |= PSH;
      seq += static_cast<std::uint32_t>(s.payload.size());
    }
    peer.send(segments, now);
  }
  void segment() {
    const std::uint8_t shape = in.u8(), flags = in.u8();
    Seg s;
    s.flags = shape & 1 ? flags : ACK;
    if (shape & 1) s.ecn = flags & 0x40 ? 3 : flags & 0x80 ? 2 : 0;
    s.seq =
        seq + (shape & 2 ? static_cast<std::uint32_t>(static_cast<std::int8_t>(in.u8())) * (shape & 4 ? 1 : 500) : 0);
    s.ack =
        ack + (shape & 8 ? static_cast<std::uint32_t>(static_cast<std::int8_t>(in.u8())) * (shape & 4 ? 1 : 500) : 0);
    s.window = shape & 16 ? in.u16() : 65535;
    s.payload.assign(shape & 32 ? in.u16() % 1400 : 0, 'p');
    if (shape & 64) {
      const ByteView options = in.view(std::min<std::size_t>(in.left(), in.u8() % 41));
      s.options.assign(options.begin(), options.end());
    } else if (s.flags & SYN) {
      s.options = {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7};
    }
    if (s.options.empty() && stamps) stamp(s);
    if (shape & 128) {
      Bytes sack{1, 1, 5, 10, 0, 0, 0, 0, 0, 0, 0, 0};
      put32(&sack[4], ack + in.u8() * 100u);
      put32(&sack[8], get32(&sack[4]) + in.u8() * 100u);
      s.options = sack;
    }
    peer.send(s, now);
    if (!(shape & 2))
      seq += static_cast<std::uint32_t>(s.payload.size()) + (s.flags & SYN ? 1 : 0) + (s.flags & FIN ? 1 : 0);
  }
  // Somebody on the way complains about the segment that was sent last, or about one like it.
  void icmp_error() {
    if (peer.egress.sent.empty()) return;
    const std::uint8_t shape = in.u8();
    Bytes quoted = peer.egress.sent.back();
    quoted.resize(std::min<std::size_t>(quoted.size(), shape & 1 ? 28 : 60));
    if (shape & 2) quoted[20 + in.u8() % 8] ^= in.u8();
    Bytes ip(28, 0);
    ip[0] = 0x45;
    ip[8] = 64;
    ip[9] = 1;
    ip[12] = 203;
    std::copy_n(&peer.there.address.bytes[12], 4, &ip[16]);
    ip[20] = shape & 4 ? in.u8() : 3;
    ip[21] = shape & 8 ? in.u8() : 4;
    const std::uint16_t mtu = in.u16();
    ip[26] = static_cast<std::uint8_t>(mtu >> 8);
    ip[27] = static_cast<std::uint8_t>(mtu);
    ip.insert(ip.end(), quoted.begin(), quoted.end());
    const std::uint32_t sum = ~sum16(&ip[20], ip.size() - 20) & 0xffff;
    ip[22] = static_cast<std::uint8_t>(sum >> 8);
    ip[23] = static_cast<std::uint8_t>(sum);
    ip[2] = static_cast<std::uint8_t>(ip.size() >> 8);
    ip[3] = static_cast<std::uint8_t>(ip.size());
    const std::uint32_t header = ~sum16(ip.data(), 20) & 0xffff;
    ip[10] = static_cast<std::uint8_t>(header >> 8);
    ip[11] = static_cast<std::uint8_t>(header);
    if (Packet packet = arrive(ip, w.buffers, w.counters)) stack.input_icmp(std::move(packet), now);
  }
  // What is asked at any time must be answered, and agree.
  void ask(ConnId id) {
    const SendProgress progress = stack.progress(id);
    CHECK(progress.acknowledged <= progress.transmitted && progress.transmitted <= progress.queued);
    CHECK(!stack.open(id) || stack.valid(id));
    CHECK(!stack.at_end(id) || stack.valid(id));
    Info info;  // its network may be one that a damaged image named
    if (stack.open(id)) CHECK(stack.info(id, info, now) && stack.has(info.local, info.remote, info.network));
    stack.user(id) = 7;
    stack.listener(id);
    std::array<Info, 4> infos;
    std::size_t count = 0;
    stack.list(0, infos, count, now);
    CHECK(count <= stack.connection_count());
  }
  void call() {
    const std::uint8_t what = in.u8() % 16;
    const ConnId id = pick();
    switch (what) {
      case 0: {
        Chain chain;
        if (stack.send_room(id) &&
            chain.append_bytes(ByteView{std::vector<std::uint8_t>(1 + in.u16() % 9000, 's')}, w.buffers))
          stack.send(id, std::move(chain));
        break;
      }
      case 1: {
        Chain chain;
        stack.receive(id, chain);
        stack.consumed(id, in.u8() & 1 ? chain.size() : chain.size() / 2, now);
        break;
      }
      case 2: stack.shutdown(id, now); break;
      case 3: stack.abort(id, now); break;
      case 4: stack.release(id, now); break;
      case 5:
        if (const auto made = stack.connect(
                {.remote = peer.here, .local_port = static_cast<std::uint16_t>(in.u8() & 1 ? 80 : 0)}, now)) {
          ids.push_back(*made);
          peer.there.port = stack.local(*made).port;
        }
        break;
      case 6: peer.here.port ^= 1; break;
      case 7: peer.there.port = 80; break;
      case 8: {
        Bytes image(stack.image_size(id));
        if (image.empty() || stack.export_image(id, image, now) == 0) break;
        stack.forget(id);
        if (in.u8() & 1) image[in.u8() % image.size()] ^= 1;
        if (const auto made = stack.import_image(image, 0, now)) ids.push_back(*made);
        break;
      }
      case 9: {
        Info info;
        stack.info(id, info, now);
        break;
      }
      case 10: stack.consumed(id, in.u16(), now); break;
      case 11: {
        constexpr std::uint16_t mtus[] = {576, 1280, 1400, 1500, 9000, 700};
        peer.egress.way.mtu = mtus[in.u8() % std::size(mtus)];
        break;
      }
      case 12: {
        // All but a few buffers are somebody else's, until the next such call.
        const unsigned leave = in.u8() % 8;
        if (!hog.empty()) return hog.clear();
        while (w.buffers.data_free() > leave) hog.push_back(w.buffers.make());
        break;
      }
      case 13: stack.use(id, in.u8() & 1, now); break;
      default: ask(id); break;
    }
  }
  void run() {
    while (in.left()) {
      const std::uint8_t command = in.u8();
      if (command < 130) segment();
      else if (command < 190) call();
      else if (command < 200) icmp_error();
      else if (command >= 248) burst();
      else if (command >= 236) answer_flight();
      else {
        now += Nanos{1'000'000} * static_cast<std::int64_t>(command & 1 ? in.u8() : in.u16());
        stack.expire(now);
      }
      if (command & 2) drain();
      const char* fault = stack.audit();
      if (fault) std::fprintf(stderr, "audit: %s\n", fault);
      CHECK(!fault);
    }
    hog.clear();
    drain();
    for (const ConnId id : ids) stack.abort(id, now), stack.release(id, now);
    for (int i = 0; i < 400 && (stack.connection_count() || stack.handshake_count() || stack.time_wait_count()); ++i) {
      now += Nanos{1'000'000'000};
      stack.expire(now);
      drain();
      for (const ConnId id : ids) stack.abort(id, now), stack.release(id, now);
    }
    CHECK(stack.connection_count() == 0 && stack.handshake_count() == 0 && stack.time_wait_count() == 0);
    CHECK(stack.held_buffers() == 0);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > 4096) return 0;
  World& w = world();
  {
    Run run{ByteView{data + 1, size - 1}, w, data[0]};
    run.run();
  }
  CHECK(w.buffers.data_free() == pool_size && w.buffers.slices_free() == pool_size);
  return 0;
}
