// recovery_script.h - conversations about losses with a scripted peer: a connection that sends, and words for what it
// sent.
#pragma once

#include "tests/unit/l4/tcp/script.h"

namespace sluice::tcp {

// Segments of 1000 bytes, counted from 0; the round trip of the handshake is 100 ms.
struct RecoveryTest : ScriptTest {
  using State = CongestionState;
  static constexpr std::uint32_t mss = 1000;

  std::uint32_t at(std::uint32_t n) const { return iss + 1 + mss * n; }
  static Bytes syn_options(bool sack, bool ts) {
    Bytes o{2, 4, 0x03, 0xe8};
    if (ts) o[2] = 0x03, o[3] = 0xf4;  // 1012: 1000 with timestamps
    if (sack) o.insert(o.end(), {4, 2, 1, 1});
    if (ts) o.insert(o.end(), {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0});
    return o;
  }
  void open(bool sack = true, bool ts = false, Nanos rtt = 100_ms) {
    send({.flags = SYN, .seq = 100, .options = syn_options(sack, ts)});
    const auto answer = next();
    ASSERT_TRUE(answer);
    iss = answer->seq;
    ts_zero = answer->options.ts_value;
    later(rtt);
    send({.flags = ACK, .seq = 101, .ack = iss + 1, .options = ts ? echo(ts_zero) : Bytes{}});
    events();
    EXPECT_FALSE(next());
  }
  Bytes echo(std::uint32_t of) {
    Bytes o{1, 1, 8, 10, 0, 0, 0, 2, 0, 0, 0, 0};
    put32(&o[8], of);
    return o;
  }
  struct Block {
    std::uint32_t begin, end;  // segments
  };
  void ack(std::uint32_t n, std::initializer_list<Block> blocks = {}, Bytes more = {}, std::uint8_t flags = 0,
           std::uint16_t window = 65535) {
    Bytes o = std::move(more);
    if (blocks.size()) {
      o.insert(o.end(), {1, 1, 5, static_cast<std::uint8_t>(2 + 8 * blocks.size())});
      for (const Block& b : blocks) {
        o.resize(o.size() + 8);
        put32(&o[o.size() - 8], at(b.begin));
        put32(&o[o.size() - 4], at(b.end));
      }
    }
    send({.flags = static_cast<std::uint8_t>(ACK | flags), .seq = 101, .ack = at(n), .window = window, .options = o});
  }
  // The segments that go out now, as "0 1 2"; a size other than a segment's is shown.
  std::string sent() {
    std::string out;
    while (const auto got = next()) {
      last = *got;
      if (!out.empty()) out += ' ';
      if (got->payload.empty()) out += got->flags & FIN ? "fin" : "ack";
      else out += std::to_string((got->seq - iss - 1) / mss);
      if (!got->payload.empty() && got->payload.size() != mss) out += ":" + std::to_string(got->payload.size());
    }
    return out;
  }
  std::string sent_within(Nanos time) {
    later(time);
    return sent();
  }
  std::uint32_t cwnd() { return info().cwnd_segments; }
  std::uint32_t ssthresh() { return info().ssthresh_segments; }
  State mode() { return info().congestion_state; }

  Got last;
  std::uint32_t ts_zero = 0;
};

}  // namespace sluice::tcp
