// What TCP itself takes of a segment, without port, parse or HTTP: nanoseconds from Stack::input to the end of
// Stack::output, on one connection whose state is in the cache. A data segment is read and consumed; every second one
// is answered. An ACK acknowledges two segments.
#include <rte_cycles.h>

#include "dataplane/packet/parse.h"
#include "l4/tcp/stack.h"
#include "perf/tcp/proxy.h"

namespace sluice::perf {

namespace {

using wire::Tcp;
using namespace sluice::literals;

constexpr std::uint32_t burst = 32, payload = 1448;
constexpr Station us{{{2, 0, 0, 0, 0, 1}}, 0x0a000001, 10'000}, peer{{{2, 0, 0, 0, 0, 2}}, 0x0a000002, 80};

// Takes what is sent and remembers the first segment's sequence number.
class Sink final : public tcp::Egress {
 public:
  tcp::Path path(const IpAddress&, const IpAddress&, tcp::PathCache&) override { return {1500, false, true}; }
  void send(Packet packet, const IpAddress&, const IpAddress&, tcp::PathCache&, Nanos) override {
    const auto& header = packet.at<Tcp>(packet.get()->l3_len);
    if (sent++ == 0) first = header.sequence.get();
    port = header.source.get();
    data += packet.size() > 100;
  }
  std::uint32_t first = 0, sent = 0, data = 0;
  std::uint16_t port = 0;
};

class Bench {
 public:
  explicit Bench(Ground& ground)
      : ground_(ground), stack_(config(), ground.buffers, counters_, ground.clock.now()), body_(payload, 'x') {
    const auto id = stack_.connect(
        {.remote = {IpAddress::from_v4(peer.address), peer.port}, .local = IpAddress::from_v4(us.address)}, now());
    if (!id) give_up("tcp segments: no connection");
    id_ = *id;
    stack_.output(sink_, now());
    acked_ = sink_.first + 1;
    feed({segment(Tcp::syn | Tcp::ack, {})});
    ++next_;
    if (!stack_.open(id_)) give_up("tcp segments: the handshake failed");
  }

  // Cycles of a data segment.
  double data() {
    std::vector<Packet> packets;
    for (std::uint32_t i = 0; i < burst; ++i) {
      packets.push_back(segment(Tcp::ack, body_));
      next_ += payload;
    }
    Chain out;
    const Nanos at = now();
    const std::uint64_t began = rte_rdtsc_precise();
    for (Packet& packet : packets) stack_.input(std::move(packet), at);
    stack_.take_events();
    stack_.receive(id_, out);
    stack_.consumed(id_, out.size(), at);
    stack_.output(sink_, at);
    const std::uint64_t took = rte_rdtsc_precise() - began;
    if (out.size() != burst * payload) give_up("tcp segments: data was not delivered");
    return static_cast<double>(took) / burst;
  }
  // Cycles of an ACK for two segments, with the window open for all that is sent.
  double acks() {
    Chain bytes;
    for (std::uint32_t i = 0; i < 2 * burst; ++i)
      if (!bytes.append_bytes({reinterpret_cast<const std::uint8_t*>(body_.data()), body_.size()}, ground_.buffers))
        give_up("tcp segments: no buffer");
    stack_.send(id_, std::move(bytes));
    std::uint64_t took = 0;
    std::uint32_t measured = 0;
    const std::uint32_t end = acked_ + 2 * burst * payload;
    while (acked_ != end) {
      const std::uint32_t before = sink_.data;
      stack_.output(sink_, now());
      const std::uint32_t out = sink_.data - before;
      if (out == 0) give_up("tcp segments: nothing was sent");
      std::vector<Packet> packets;
      for (std::uint32_t i = 0; i < out; i += 2) {
        acked_ += payload * std::min(2u, out - i);
        packets.push_back(segment(Tcp::ack, {}));
      }
      const Nanos at = now();
      const std::uint64_t began = rte_rdtsc_precise();
      for (Packet& packet : packets) stack_.input(std::move(packet), at);
      took += rte_rdtsc_precise() - began;
      measured += static_cast<std::uint32_t>(packets.size());
      stack_.take_events();
    }
    if (stack_.progress(id_).acknowledged != stack_.progress(id_).queued) give_up("tcp segments: not acknowledged");
    return static_cast<double>(took) / measured;
  }

 private:
  static tcp::Config config() {
    tcp::Config config;
    config.connections = config.handshakes = config.time_waits = 1024;
    return config;
  }
  Nanos now() const { return ground_.clock.now(); }
  Packet segment(std::uint8_t flags, std::string_view bytes) {
    Packet packet = write_segment(ground_.buffers, peer, {us.mac, us.address, sink_.port},
                                  {.sequence = next_,
                                   .acknowledgement = acked_,
                                   .stamp = static_cast<std::uint32_t>(now().millis()),
                                   .echo = 0,
                                   .flags = flags},
                                  bytes, false);
    if (!packet || !parse(packet, false, counters_)) give_up("tcp segments: a packet that cannot be parsed");
    return packet;
  }
  void feed(Packet packet) {
    stack_.input(std::move(packet), now());
    stack_.take_events();
    stack_.output(sink_, now());
  }

  Ground& ground_;
  Counters counters_;
  tcp::Stack stack_;
  Sink sink_;
  tcp::ConnId id_;
  std::uint32_t next_ = 1'000'000, acked_ = 0;
  std::string body_;
};

}  // namespace

void measure_segments(Ground& ground) {
  const auto rounds = ground.options.pick(4000u, 2000u, 100u);
  Figure data{.scenario = "tcp", .name = "data_segment", .unit = "ns", .higher_is_better = false};
  Figure ack{.scenario = "tcp", .name = "ack", .unit = "ns", .higher_is_better = false};
  const double nanoseconds = 1e9 / static_cast<double>(rte_get_tsc_hz());
  for (unsigned sample = 0; sample <= ground.options.samples(); ++sample)
    on_workers(1, [&](std::uint16_t) {
      Bench bench{ground};
      std::vector<double> data_cycles, ack_cycles;
      for (unsigned round = 0; round < rounds; ++round) data_cycles.push_back(bench.data());
      for (unsigned round = 0; round < rounds; ++round) ack_cycles.push_back(bench.acks());
      if (sample == 0) return;  // warms up
      data.samples.push_back(median(data_cycles) * nanoseconds);
      ack.samples.push_back(median(ack_cycles) * nanoseconds);
    });
  for (Figure* figure : {&data, &ack}) {
    figure->params.add("payload", payload).add("burst", burst);
    figure->params.add("cycles", figure->value() / nanoseconds);
    ground.report.add(std::move(*figure));
  }
}

}  // namespace sluice::perf
