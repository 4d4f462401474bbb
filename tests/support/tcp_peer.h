// tcp_peer.h - a scripted TCP peer of one stack: it sends exactly the segments that it is told to, and shows what came
// back.
#pragma once

#include <algorithm>
#include <optional>
#include <ostream>
#include <span>

#include "l4/tcp/segment.h"
#include "l4/tcp/stack.h"
#include "tests/support/tcp_wire.h"

namespace sluice::test {

inline constexpr std::uint8_t FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, URG = 32, ECE = 64, CWR = 128;

// A segment as a script writes it. Sequence numbers are the wire's.
struct Seg {
  std::uint8_t flags = 0;
  std::uint32_t seq = 0, ack = 0;
  std::uint16_t window = 65535;
  Bytes options{};
  std::string payload{};
  std::uint8_t data_offset = 0;  // 0: right
  std::uint8_t ecn = 0;          // of the IP header
};

// What the stack sent.
struct Got {
  std::uint8_t flags = 0;
  std::uint32_t seq = 0, ack = 0;
  std::uint16_t window = 0;
  tcp::Options options;
  std::string payload;
  std::uint8_t ecn = 0;
};
inline std::ostream& operator<<(std::ostream& out, const Got& g) {
  const char* names = "FSRPAUEC";
  for (int i = 0; i < 8; ++i)
    if (g.flags >> i & 1) out << names[i];
  return out << " seq " << g.seq << " ack " << g.ack << " win " << g.window << " size " << g.payload.size();
}

class Peer {
 public:
  Endpoint here{*parse_ip("192.0.2.1"), 1000}, there{*parse_ip("198.51.100.7"), 80};

  Peer(tcp::Stack& stack, Buffers& buffers, Counters& counters)
      : stack_(stack), buffers_(buffers), counters_(counters) {}

  void send(const Seg& s, Nanos now) {
    if (Packet packet = make(s)) stack_.input(std::move(packet), now);
  }
  // All in one burst. How many packets the stack left with who brought them.
  std::size_t send(std::span<const Seg> segments, Nanos now) {
    std::vector<Packet> burst;
    for (const Seg& s : segments)
      if (Packet frame = frame_of(ip_of(s), buffers_)) burst.push_back(std::move(frame));
    stack_.input(std::span{burst}.first(parse(burst, true, counters_)), now);
    return static_cast<std::size_t>(std::ranges::count_if(burst, [](const Packet& p) { return static_cast<bool>(p); }));
  }
  Packet make(const Seg& s) { return arrive(ip_of(s), buffers_, counters_); }
  Bytes ip_of(const Seg& s) const {
    const std::size_t options = (s.options.size() + 3) / 4 * 4;
    const bool v4 = here.address.is_v4();
    const std::size_t header = v4 ? 20 : 40;
    Bytes ip(header + 20 + options, 0);
    if (v4) {
      ip[0] = 0x45;
      ip[1] = s.ecn;
      ip[8] = 64;
      ip[9] = 6;
      std::copy_n(&here.address.bytes[12], 4, &ip[12]);
      std::copy_n(&there.address.bytes[12], 4, &ip[16]);
    } else {
      ip[0] = 0x60;
      ip[1] = static_cast<std::uint8_t>(s.ecn << 4);
      ip[6] = 6;
      ip[7] = 64;
      std::copy_n(here.address.bytes.data(), 16, &ip[8]);
      std::copy_n(there.address.bytes.data(), 16, &ip[24]);
    }
    std::uint8_t* tcp = &ip[header];
    tcp[0] = here.port >> 8 & 0xff;
    tcp[1] = here.port & 0xff;
    tcp[2] = there.port >> 8 & 0xff;
    tcp[3] = there.port & 0xff;
    put32(tcp + 4, s.seq);
    put32(tcp + 8, s.ack);
    tcp[12] = static_cast<std::uint8_t>((s.data_offset ? s.data_offset : (20 + options) / 4) << 4);
    tcp[13] = s.flags;
    tcp[14] = s.window >> 8 & 0xff;
    tcp[15] = s.window & 0xff;
    std::copy(s.options.begin(), s.options.end(), tcp + 20);
    ip.insert(ip.end(), s.payload.begin(), s.payload.end());
    fill_checksums(ip);
    return ip;
  }
  // The next segment that the stack sends, if it sends one now.
  std::optional<Got> next(Nanos now) {
    stack_.output(egress, now);
    if (at_ == egress.sent.size()) return {};
    const Bytes& ip = egress.sent[at_++];
    const std::size_t before = here.address.is_v4() ? 20 : 40;
    const std::uint8_t* tcp = &ip[before];
    const std::size_t header = (tcp[12] >> 4) * 4u;
    Got g;
    g.seq = get32(tcp + 4);
    g.ack = get32(tcp + 8);
    g.flags = tcp[13];
    g.ecn = (here.address.is_v4() ? ip[1] : ip[1] >> 4) & 3;
    g.window = static_cast<std::uint16_t>(tcp[14] << 8 | tcp[15]);
    g.options = tcp::parse_options({tcp + 20, header - 20}, g.flags & SYN);
    g.payload.assign(ip.begin() + static_cast<std::ptrdiff_t>(before + header), ip.end());
    local_port = static_cast<std::uint16_t>(tcp[0] << 8 | tcp[1]);
    return g;
  }
  WireEgress egress;
  std::uint16_t local_port = 0;

 private:
  tcp::Stack& stack_;
  Buffers& buffers_;
  Counters& counters_;
  std::size_t at_ = 0;
};

}  // namespace sluice::test
