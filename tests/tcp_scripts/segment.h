// segment.h - a TCP segment (RFC 9293 3.1) or ICMP error as scripts write it: numbers relative to each side's first
// SYN, options as a list. Turned into the bytes of an IP packet for one flow and back, printed, and compared.
// Independent of l4/tcp: nothing here is the code under test.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice::scripts {

using Bytes = std::vector<std::uint8_t>;

inline constexpr std::uint8_t FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, URG = 32, ECE = 64, CWR = 128;

struct Option {
  enum class Kind : std::uint8_t { mss, sack_permitted, timestamps, window_scale, sack, nop, end, raw };
  Kind kind;
  std::uint32_t value = 0, echo = 0;  // mss, scale; TSval, TSecr
  bool any_value = false, any_echo = false;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> blocks;  // SACK
  Bytes raw;                                                    // the whole option as it stands on the wire
};

struct Segment {
  std::uint8_t flags = 0;
  std::uint32_t seq = 0, size = 0, ack = 0;
  std::optional<std::uint16_t> window, urgent;
  std::vector<Option> options;
  enum class Wanted : std::uint8_t { plain, listed, any } options_wanted = Wanted::plain;
  std::optional<std::uint8_t> ecn;  // the two bits of the IP header
  unsigned peer = 1;                // which of the script's peers: a port each
  bool bad_checksum = false;
  bool any_push = false;  // `p`: PSH or not

  const Option* find(Option::Kind kind) const;
};

struct Icmp {
  enum class Kind : std::uint8_t {
    too_big,
    host_unreachable,
    port_unreachable,
    protocol_unreachable,
    prohibited,
    time_exceeded,
    source_quench
  } kind = Kind::too_big;
  std::uint32_t mtu = 0;
  Segment quoted;  // of ours
};

// One conversation on the wire: addresses, ports and what relative numbers count from.
struct Flow {
  bool v6 = false;
  std::uint16_t local_port = 0, peer_port = 0;  // local: of the stack under test
  std::uint32_t local_base = 0, peer_base = 0;  // of its SYN; of ours
  std::uint32_t time_base = 0;                  // what of its TSval stands in scripts as 0
  bool time_known = false;
};

extern const Bytes local_address4, local_address6, peer_address4, peer_address6;

// The byte of the stream that has this relative sequence number: both sides send it, both are held to it.
inline std::uint8_t pattern(std::uint32_t seq) { return static_cast<std::uint8_t>(seq * 167 + (seq >> 8)); }

// From the peer to the stack under test.
Bytes encode(const Segment& s, const Flow& flow);
Bytes encode(const Icmp& icmp, const Flow& flow);
// What the stack sent. A SYN sets the flow's base, the first TSval counts as 100. `wrong`: what is broken about it
// (checksum, length, payload), empty when nothing is.
struct Sent {
  Segment segment;
  std::string wrong;
};
// The ports of an IP packet of TCP, or nothing: {source, destination}.
std::optional<std::pair<std::uint16_t, std::uint16_t>> ports_of(const Bytes& ip);
Sent decode(const Bytes& ip, Flow& flow);

// As a script writes it. `answer`: without what differs from run to run or from stack to stack by configuration
// (window, timestamps, the number of the window scale).
std::string to_text(const Segment& s, bool answer = false);
// Empty when `got` is what `wanted` asks for, else what is not. Timestamps may be `ms` off.
std::string difference(const Segment& wanted, const Segment& got, std::uint32_t ms);

}  // namespace sluice::scripts
