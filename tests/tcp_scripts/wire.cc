// Segments of scripts to bytes and back: IPv4 (RFC 791), IPv6 (RFC 8200), TCP (RFC 9293), ICMP (RFC 792, RFC 4443).
#include <algorithm>

#include "tests/tcp_scripts/segment.h"

namespace sluice::scripts {

const Bytes local_address4{198, 51, 100, 7}, peer_address4{192, 0, 2, 1};
const Bytes local_address6{0x20, 1, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7};
const Bytes peer_address6{0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

namespace {

using Kind = Option::Kind;

void put16(Bytes& out, std::uint32_t value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8));
  out.push_back(static_cast<std::uint8_t>(value));
}
void put32(Bytes& out, std::uint32_t value) {
  put16(out, value >> 16);
  put16(out, value);
}
std::uint32_t get16(const Bytes& in, std::size_t at) { return static_cast<std::uint32_t>(in[at] << 8 | in[at + 1]); }
std::uint32_t get32(const Bytes& in, std::size_t at) { return get16(in, at) << 16 | get16(in, at + 2); }

// The Internet checksum of bytes from `at` on, with what a pseudo-header adds.
std::uint16_t checksum(const Bytes& bytes, std::size_t at, std::uint32_t sum = 0) {
  for (std::size_t i = at; i + 1 < bytes.size(); i += 2) sum += get16(bytes, i);
  if ((bytes.size() - at) & 1) sum += static_cast<std::uint32_t>(bytes.back() << 8);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}
std::uint32_t pseudo_sum(const Bytes& from, const Bytes& to, std::size_t size, std::uint32_t protocol) {
  std::uint32_t sum = protocol + static_cast<std::uint32_t>(size);
  for (const Bytes* address : {&from, &to})
    for (std::size_t i = 0; i < address->size(); i += 2) sum += get16(*address, i);
  return sum;
}
void set16(Bytes& bytes, std::size_t at, std::uint32_t value) {
  bytes[at] = static_cast<std::uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<std::uint8_t>(value);
}

Bytes encode_options(const std::vector<Option>& options, const Flow& flow) {
  Bytes out;
  for (const Option& o : options) {
    switch (o.kind) {
      case Kind::nop: out.push_back(1); break;
      case Kind::end: out.push_back(0); break;
      case Kind::mss:
        out.insert(out.end(), {2, 4});
        put16(out, o.value);
        break;
      case Kind::window_scale: out.insert(out.end(), {3, 3, static_cast<std::uint8_t>(o.value)}); break;
      case Kind::sack_permitted: out.insert(out.end(), {4, 2}); break;
      case Kind::sack:
        out.insert(out.end(), {5, static_cast<std::uint8_t>(2 + 8 * o.blocks.size())});
        for (const auto& [begin, end] : o.blocks) {
          put32(out, begin + flow.local_base);
          put32(out, end + flow.local_base);
        }
        break;
      case Kind::timestamps:
        out.insert(out.end(), {8, 10});
        put32(out, o.value);
        put32(out, o.echo ? o.echo + flow.time_base : 0);
        break;
      case Kind::raw: out.insert(out.end(), o.raw.begin(), o.raw.end()); break;
    }
  }
  out.resize((out.size() + 3) / 4 * 4);
  return out;
}

// Of a segment with numbers as on the wire; `seq` names the payload's pattern.
Bytes tcp_bytes(const Segment& s, const Bytes& options, std::uint16_t from, std::uint16_t to, std::uint32_t seq_base,
                std::uint32_t ack_base) {
  Bytes out;
  put16(out, from);
  put16(out, to);
  put32(out, s.seq + seq_base);
  put32(out, s.flags & ACK ? s.ack + ack_base : 0);
  out.push_back(static_cast<std::uint8_t>((20 + options.size()) / 4 << 4));
  out.push_back(s.flags);
  put16(out, s.window.value_or(0));
  put16(out, 0);
  put16(out, s.urgent.value_or(0));
  out.insert(out.end(), options.begin(), options.end());
  const std::uint32_t first = s.seq + (s.flags & SYN ? 1 : 0);
  for (std::uint32_t i = 0; i < s.size; ++i) out.push_back(pattern(first + i));
  return out;
}

Bytes ip_bytes(const Bytes& from, const Bytes& to, std::uint8_t protocol, std::uint8_t ecn, const Bytes& payload) {
  Bytes out;
  if (from.size() == 4) {
    out = {0x45, ecn};
    put16(out, static_cast<std::uint32_t>(20 + payload.size()));
    out.insert(out.end(), {0, 0, 0x40, 0, 64, protocol, 0, 0});
    out.insert(out.end(), from.begin(), from.end());
    out.insert(out.end(), to.begin(), to.end());
    set16(out, 10, checksum(out, 0));
  } else {
    out = {0x60, static_cast<std::uint8_t>(ecn << 4), 0, 0};
    put16(out, static_cast<std::uint32_t>(payload.size()));
    out.insert(out.end(), {protocol, 64});
    out.insert(out.end(), from.begin(), from.end());
    out.insert(out.end(), to.begin(), to.end());
  }
  out.insert(out.end(), payload.begin(), payload.end());
  return out;
}

std::vector<Option> decode_options(const Bytes& in, std::size_t at, std::size_t end, const Flow& flow) {
  std::vector<Option> out;
  while (at < end && in[at] != 0) {
    if (in[at] == 1) {
      out.push_back({Kind::nop});
      ++at;
      continue;
    }
    const std::size_t size = at + 1 < end ? in[at + 1] : 0;
    Option o{Kind::raw};
    if (size < 2 || at + size > end) {
      o.raw.assign(in.begin() + static_cast<std::ptrdiff_t>(at), in.begin() + static_cast<std::ptrdiff_t>(end));
      out.push_back(o);
      break;
    }
    o.raw.assign(in.begin() + static_cast<std::ptrdiff_t>(at), in.begin() + static_cast<std::ptrdiff_t>(at + size));
    switch (in[at] << 8 | static_cast<int>(size)) {
      case 2 << 8 | 4: o.kind = Kind::mss, o.value = get16(in, at + 2); break;
      case 3 << 8 | 3: o.kind = Kind::window_scale, o.value = in[at + 2]; break;
      case 4 << 8 | 2: o.kind = Kind::sack_permitted; break;
      case 8 << 8 | 10: o.kind = Kind::timestamps, o.value = get32(in, at + 2), o.echo = get32(in, at + 6); break;
      default:
        if (in[at] != 5 || size % 8 != 2) break;
        o.kind = Kind::sack;
        for (std::size_t i = at + 2; i < at + size; i += 8)
          o.blocks.emplace_back(get32(in, i) - flow.peer_base, get32(in, i + 4) - flow.peer_base);
    }
    out.push_back(o);
    at += size;
  }
  return out;
}

struct IcmpCode {
  std::uint8_t type4, code4, type6, code6;
};
constexpr IcmpCode icmp_codes[] = {{3, 4, 2, 0},  {3, 1, 1, 3},  {3, 3, 1, 4},  {3, 2, 4, 1},
                                   {3, 13, 1, 1}, {11, 0, 3, 0}, {4, 0, 100, 0}};

}  // namespace

Bytes encode(const Segment& s, const Flow& flow) {
  const Bytes& from = flow.v6 ? peer_address6 : peer_address4;
  const Bytes& to = flow.v6 ? local_address6 : local_address4;
  Bytes tcp =
      tcp_bytes(s, encode_options(s.options, flow), flow.peer_port, flow.local_port, flow.peer_base, flow.local_base);
  set16(tcp, 16, checksum(tcp, 0, pseudo_sum(from, to, tcp.size(), 6)) ^ (s.bad_checksum ? 0x5a5a : 0));
  return ip_bytes(from, to, 6, s.ecn.value_or(0), tcp);
}

Bytes encode(const Icmp& icmp, const Flow& flow) {
  const Bytes& from = flow.v6 ? peer_address6 : peer_address4;
  const Bytes& to = flow.v6 ? local_address6 : local_address4;
  const IcmpCode& code = icmp_codes[static_cast<std::size_t>(icmp.kind)];
  Bytes inner = tcp_bytes(icmp.quoted, {}, flow.local_port, flow.peer_port, flow.local_base, flow.peer_base);
  Bytes quoted = ip_bytes(to, from, 6, 0, inner);
  if (!flow.v6) quoted.resize(std::min<std::size_t>(quoted.size(), 28));  // header and eight bytes (RFC 792)
  quoted.resize(std::min<std::size_t>(quoted.size(), 1232));
  Bytes out{flow.v6 ? code.type6 : code.type4, flow.v6 ? code.code6 : code.code4, 0, 0};
  put32(out, icmp.mtu);
  out.insert(out.end(), quoted.begin(), quoted.end());
  set16(out, 2, checksum(out, 0, flow.v6 ? pseudo_sum(from, to, out.size(), 58) : 0));
  return ip_bytes(from, to, flow.v6 ? 58 : 1, 0, out);
}

std::optional<std::pair<std::uint16_t, std::uint16_t>> ports_of(const Bytes& ip) {
  if (ip.empty()) return {};
  const std::size_t header = ip[0] >> 4 == 4 ? (ip[0] & 15) * 4u : 40;
  if (ip.size() < header + 20 || (ip[0] >> 4 == 4 ? ip[9] : ip[6]) != 6) return {};
  return std::pair{static_cast<std::uint16_t>(get16(ip, header)), static_cast<std::uint16_t>(get16(ip, header + 2))};
}

Sent decode(const Bytes& ip, Flow& flow) {
  const bool v4 = ip[0] >> 4 == 4;
  const std::size_t at = v4 ? (ip[0] & 15) * 4u : 40, header = (ip[at + 12] >> 4) * 4u;
  Sent out;
  Segment& s = out.segment;
  if (header < 20 || at + header > ip.size()) {
    out.wrong = "data offset";
    return out;
  }
  const std::size_t length = v4 ? get16(ip, 2) : 40 + get16(ip, 4);
  if (length != ip.size()) out.wrong = "IP length";
  if (v4 && checksum({ip.begin(), ip.begin() + static_cast<std::ptrdiff_t>(at)}, 0) != 0) out.wrong = "IP checksum";
  const Bytes tcp(ip.begin() + static_cast<std::ptrdiff_t>(at), ip.end());
  const Bytes& from = v4 ? local_address4 : local_address6;
  const Bytes& to = v4 ? peer_address4 : peer_address6;
  if (checksum(tcp, 0, pseudo_sum(from, to, tcp.size(), 6)) != 0) out.wrong = "TCP checksum";
  s.flags = tcp[13];
  if (s.flags & SYN) flow.local_base = get32(tcp, 4);
  s.seq = get32(tcp, 4) - flow.local_base;
  if (s.flags & RST && get32(tcp, 4) == 0) s.seq = 0;  // of no connection: 0 on the wire
  s.size = static_cast<std::uint32_t>(tcp.size() - header);
  s.ack = s.flags & ACK ? get32(tcp, 8) - flow.peer_base : 0;
  s.window = static_cast<std::uint16_t>(get16(tcp, 14));
  s.urgent = static_cast<std::uint16_t>(get16(tcp, 18));
  s.ecn = static_cast<std::uint8_t>((v4 ? ip[1] : ip[1] >> 4) & 3);
  s.options = decode_options(tcp, 20, header, flow);
  s.options_wanted = Segment::Wanted::listed;
  for (Option& o : s.options) {
    if (o.kind != Kind::timestamps) continue;
    if (!flow.time_known) flow.time_base = o.value - 100;
    flow.time_known = true;
    o.value -= flow.time_base;
  }
  const std::uint32_t first = s.seq + (s.flags & SYN ? 1 : 0);
  for (std::size_t i = header; i < tcp.size(); ++i)
    if (tcp[i] != pattern(first + static_cast<std::uint32_t>(i - header))) out.wrong = "payload";
  return out;
}

}  // namespace sluice::scripts
