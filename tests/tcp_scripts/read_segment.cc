// Segments, options and ICMP errors as scripts write them.
#include <charconv>

#include "tests/tcp_scripts/script.h"

namespace sluice::scripts {

namespace {

using Kind = Option::Kind;

bool value_or_star(Text& text, std::uint32_t& value, bool& any) {
  text.skip_space();
  any = text.take("*");
  std::int64_t number = 0;
  if (!any && !text.number(number)) return false;
  value = static_cast<std::uint32_t>(number);
  return true;
}

bool range(Text& text, std::uint32_t& begin, std::uint32_t& end) {
  std::int64_t a = 0, b = 0;
  if (!text.number(a) || !text.take(":") || !text.number(b)) return text.fail("a range is FROM:TO");
  begin = static_cast<std::uint32_t>(a);
  end = static_cast<std::uint32_t>(b);
  return true;
}

bool read_raw(Text& text, Bytes& out) {
  text.skip_space();
  const std::string_view digits = text.word();
  if (digits.empty() || digits.size() % 2) return text.fail("raw takes an even number of hexadecimal digits");
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    unsigned byte = 0;
    if (std::from_chars(digits.data() + i, digits.data() + i + 2, byte, 16).ptr != digits.data() + i + 2)
      return text.fail("raw takes hexadecimal digits");
    out.push_back(static_cast<std::uint8_t>(byte));
  }
  return true;
}

bool read_option(Text& text, Option& out) {
  text.skip_space();
  const std::string name(text.word());
  if (name == "nop") out.kind = Kind::nop;
  else if (name == "eol") out.kind = Kind::end;
  else if (name == "sackOK") out.kind = Kind::sack_permitted;
  else if (name == "mss") return out.kind = Kind::mss, value_or_star(text, out.value, out.any_value);
  else if (name == "wscale") return out.kind = Kind::window_scale, value_or_star(text, out.value, out.any_value);
  else if (name == "raw") return out.kind = Kind::raw, read_raw(text, out.raw);
  else if (name == "TS") {
    out.kind = Kind::timestamps;
    return (text.take("val") && value_or_star(text, out.value, out.any_value) && text.take("ecr") &&
            value_or_star(text, out.echo, out.any_echo)) ||
           text.fail("TS val N ecr N");
  } else if (name == "sack") {
    out.kind = Kind::sack;
    do {
      auto& [begin, end] = out.blocks.emplace_back();
      if (!range(text, begin, end)) return false;
      text.skip_space();
    } while (!text.left.empty() && text.left[0] >= '0' && text.left[0] <= '9');
  } else {
    return text.fail("no option '" + name + "'");
  }
  return true;
}

bool read_options(Text& text, Segment& out) {
  out.options_wanted = Segment::Wanted::listed;
  if (text.take("...>")) {
    out.options_wanted = Segment::Wanted::any;
    return true;
  }
  if (text.take(">")) return true;
  do {
    out.options.push_back({Kind::nop});
    if (!read_option(text, out.options.back())) return false;
  } while (text.take(","));
  return text.take(">") || text.fail("options end with >");
}

bool read_flags(Text& text, std::uint8_t& out, bool& any_push) {
  text.skip_space();
  static constexpr std::pair<char, std::uint8_t> letters[] = {{'S', SYN}, {'F', FIN}, {'R', RST}, {'P', PSH},
                                                              {'U', URG}, {'E', ECE}, {'W', CWR}, {'.', ACK}};
  if (text.take("-")) return true;
  while (!text.left.empty() && text.left[0] != ' ') {
    bool known = text.left[0] == 'p';
    any_push |= known;
    for (const auto& [letter, bit] : letters)
      if (text.left[0] == letter) out |= bit, known = true;
    if (!known) return text.fail("flags are of SFRPpUEW. or -");
    text.left.remove_prefix(1);
  }
  return true;
}

bool read_ecn(Text& text, Segment& out) {
  static constexpr std::pair<std::string_view, std::uint8_t> marks[] = {
      {"[noecn]", 0}, {"[ect1]", 1}, {"[ect0]", 2}, {"[ce]", 3}};
  for (const auto& [name, bits] : marks)
    if (text.take(name)) out.ecn = bits;
  return true;
}

}  // namespace

bool read_segment(Text& text, Segment& out) {
  std::int64_t number = 0;
  if (text.take("(")) {
    if (!text.number(number) || !text.take(")")) return text.fail("a peer is (N)");
    out.peer = static_cast<unsigned>(number);
  }
  if (!read_ecn(text, out) || !read_flags(text, out.flags, out.any_push)) return false;
  std::uint32_t end = 0;
  if (!range(text, out.seq, end) || !text.take("(") || !text.number(number) || !text.take(")"))
    return text.fail("a segment is FLAGS SEQ:END(SIZE)");
  out.size = static_cast<std::uint32_t>(number);
  if (out.seq + out.size != end) return text.fail("SEQ:END(SIZE) does not add up");
  while (text.skip_space(), !text.left.empty()) {
    if (text.take("<")) {
      if (!read_options(text, out)) return false;
      continue;
    }
    const std::string name(text.word());
    if (name == "badsum") {
      out.bad_checksum = true;
      continue;
    }
    if (!text.number(number)) return text.fail("what is '" + name + "'?");
    if (name == "ack") out.ack = static_cast<std::uint32_t>(number);
    else if (name == "win") out.window = static_cast<std::uint16_t>(number);
    else if (name == "urg") out.urgent = static_cast<std::uint16_t>(number);
    else return text.fail("a segment has no '" + name + "'");
  }
  return true;
}

bool read_icmp(Text& text, Icmp& out) {
  static constexpr std::pair<std::string_view, Icmp::Kind> kinds[] = {
      {"frag_needed", Icmp::Kind::too_big},
      {"host_unreachable", Icmp::Kind::host_unreachable},
      {"port_unreachable", Icmp::Kind::port_unreachable},
      {"protocol_unreachable", Icmp::Kind::protocol_unreachable},
      {"prohibited", Icmp::Kind::prohibited},
      {"time_exceeded", Icmp::Kind::time_exceeded},
      {"source_quench", Icmp::Kind::source_quench}};
  text.skip_space();
  const std::string name(text.word());
  bool known = false;
  for (const auto& [word, kind] : kinds)
    if (name == word) out.kind = kind, known = true;
  if (!known) return text.fail("no ICMP error '" + name + "'");
  std::int64_t number = 0;
  if (text.take("mtu")) {
    if (!text.number(number)) return text.fail("mtu N");
    out.mtu = static_cast<std::uint32_t>(number);
  }
  if (!text.take("[")) return text.fail("an ICMP error quotes [SEQ:END(SIZE)]");
  std::uint32_t end = 0;
  out.quoted.flags = ACK;
  if (!range(text, out.quoted.seq, end) || !text.take("(") || !text.number(number) || !text.take(")") ||
      !text.take("]"))
    return text.fail("an ICMP error quotes [SEQ:END(SIZE)]");
  out.quoted.size = static_cast<std::uint32_t>(number);
  return true;
}

}  // namespace sluice::scripts
