// segment.h - a TCP segment as a value: what the header says, checked, in host order. The payload stays in the packet.
#pragma once

#include <array>
#include <optional>

#include "dataplane/packet/packet.h"
#include "l4/tcp/seq.h"

namespace sluice::tcp {

enum Flag : std::uint8_t {
  flag_fin = 1,
  flag_syn = 2,
  flag_rst = 4,
  flag_psh = 8,
  flag_ack = 16,
  flag_urg = 32,
  flag_ece = 64,
  flag_cwr = 128
};

// The ECN field of the IP header (RFC 3168 5).
enum class EcnField : std::uint8_t { not_capable = 0, ect1 = 1, ect0 = 2, marked = 3 };

struct Range {
  Seq begin, end;
  constexpr bool operator==(const Range&) const = default;
  constexpr std::uint32_t size() const { return end.value - begin.value; }
};

// Options that matter here. Unknown ones are skipped by their length; a malformed rest is ignored, as Linux does.
struct Options {
  std::uint32_t ts_value = 0, ts_echo = 0;
  std::uint16_t mss = 0;
  std::uint8_t window_scale = 0;
  std::uint8_t sack_count = 0;
  bool has_mss = false, has_window_scale = false, sack_permitted = false, has_timestamps = false;
  std::array<Range, 4> sack{};
};
// `in` is the option bytes behind the fixed header. Options of SYNs are read on SYNs only (`syn`).
Options parse_options(ByteView in, bool syn);

struct Segment {
  Seq seq, ack;
  std::uint16_t window = 0;  // as on the wire, not scaled
  std::uint8_t flags = 0;
  EcnField ecn = EcnField::not_capable;
  std::uint32_t size = 0;   // payload bytes
  std::uint32_t piece = 0;  // of the largest segment on the wire, where several were joined
  Options options;

  bool has(std::uint8_t mask) const { return flags & mask; }
  // What it takes of sequence space, and the first number behind it.
  std::uint32_t length() const { return size + (flags & flag_syn ? 1 : 0) + (flags & flag_fin ? 1 : 0); }
  Seq end() const { return seq + length(); }
};
// Reads the TCP header that Meta points to; nothing when the header contradicts itself or the packet.
std::optional<Segment> parse_segment(const Packet& packet);

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/input_slow_test.cc.
