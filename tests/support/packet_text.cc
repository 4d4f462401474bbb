// Whole: reading and writing stand together, so that the format has one place.
#include "tests/support/packet_text.h"

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <sstream>

#include "dataplane/base/address.h"

namespace sluice::test {

namespace {

// -- small pieces

constexpr std::string_view tcp_letters = "FSRPAUEC";

std::string hex(std::span<const std::uint8_t> bytes) {
  std::string out;
  char digits[3];
  for (const std::uint8_t byte : bytes) {
    std::snprintf(digits, sizeof digits, "%02x", byte);
    out += digits;
  }
  return out;
}

std::optional<Frame> unhex(std::string_view text) {
  Frame out;
  if (text.size() % 2) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data() + i, text.data() + i + 2, value, 16);
    if (error != std::errc{} || end != text.data() + i + 2) return std::nullopt;
    out.push_back(static_cast<std::uint8_t>(value));
  }
  return out;
}

void put16(Frame& out, unsigned value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8));
  out.push_back(static_cast<std::uint8_t>(value));
}
void put32(Frame& out, std::uint32_t value) {
  put16(out, value >> 16);
  put16(out, value & 0xffff);
}
void put(Frame& out, std::span<const std::uint8_t> bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }
unsigned get16(std::span<const std::uint8_t> in, std::size_t at) {
  return static_cast<unsigned>(in[at] << 8 | in[at + 1]);
}
std::uint32_t get32(std::span<const std::uint8_t> in, std::size_t at) {
  return std::uint32_t{get16(in, at)} << 16 | get16(in, at + 2);
}
void set16(Frame& out, std::size_t at, unsigned value) {
  out[at] = static_cast<std::uint8_t>(value >> 8);
  out[at + 1] = static_cast<std::uint8_t>(value);
}

// RFC 1071, byte by byte: no code of the appliance has a part in it.
unsigned internet_sum(std::span<const std::uint8_t> bytes, std::uint32_t sum = 0) {
  for (std::size_t i = 0; i < bytes.size(); ++i) sum += i % 2 ? bytes[i] : static_cast<std::uint32_t>(bytes[i] << 8);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}
unsigned internet_checksum(std::span<const std::uint8_t> bytes, std::uint32_t sum = 0) {
  return ~internet_sum(bytes, sum) & 0xffff;
}

// The addresses under a transport header, for its pseudo header.
struct Under {
  Frame addresses;  // source and destination
  bool v4() const { return addresses.size() == 8; }
  unsigned pseudo(unsigned protocol, std::size_t size) const {
    Frame rest;
    put32(rest, static_cast<std::uint32_t>(size));
    put32(rest, protocol);
    return internet_sum(rest, internet_sum(addresses));
  }
};

// -- text to frame

// "\r" and "\n" in a text layer stand for the two control characters.
Frame unescaped(std::string_view text) {
  Frame out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char next = text[i] == '\\' && i + 1 < text.size() ? text[i + 1] : '\0';
    if (next == 'r' || next == 'n') out.push_back(next == 'r' ? '\r' : '\n');
    else out.push_back(static_cast<std::uint8_t>(text[i]));
    i += next == 'r' || next == 'n';
  }
  return out;
}

struct Layer {
  std::string name;
  std::vector<std::string> words;
  std::map<std::string, std::string> fields;
  std::string tail;  // of text and hex
};

std::vector<Layer> split(std::string_view text) {
  std::vector<Layer> layers;
  while (!text.empty()) {
    const std::size_t bar = text.find(" | ");
    std::istringstream in{std::string{text.substr(0, bar)}};
    Layer layer;
    in >> layer.name >> std::ws;
    std::getline(in, layer.tail);
    std::istringstream words{layer.tail};
    for (std::string word; words >> word;) {
      const std::size_t equals = word.find('=');
      if (equals == word.npos) layer.words.push_back(word);
      else layer.fields[word.substr(0, equals)] = word.substr(equals + 1);
    }
    layers.push_back(std::move(layer));
    text = bar == text.npos ? std::string_view{} : text.substr(bar + 3);
  }
  return layers;
}

// Builds from the last layer to the first: each is put in front of what stands behind it.
class Builder {
 public:
  std::expected<Frame, std::string> build(std::span<const Layer> layers) {
    Frame out = from(layers, Under{});
    if (!error_.empty()) return std::unexpected(error_);
    return out;
  }

 private:
  Frame from(std::span<const Layer> layers, const Under& under) {
    if (layers.empty()) return {};
    const Layer& l = layers.front();
    const auto rest = layers.subspan(1);
    if (l.name == "eth") return ethernet(l, rest);
    if (l.name == "vlan") return vlan(l, rest);
    if (l.name == "arp") return arp(l);
    if (l.name == "ip4") return ip4(l, rest);
    if (l.name == "ip6") return ip6(l, rest);
    if (l.name == "tcp") return tcp(l, from(rest, under), under);
    if (l.name == "udp") return udp(l, from(rest, under), under);
    if (l.name == "icmp" || l.name == "icmp6") return icmp(l, from(rest, under), under);
    if (l.name == "text") return unescaped(l.tail);
    if (l.name == "hex") return bytes(l.tail);
    fail("unknown layer " + l.name);
    return {};
  }

  void fail(std::string why) {
    if (error_.empty()) error_ = std::move(why);
  }
  unsigned number(const std::string& text) {
    char* end = nullptr;
    const unsigned long value = std::strtoul(text.c_str(), &end, 0);
    if (text.empty() || *end) fail("not a number: " + text);
    return static_cast<unsigned>(value);
  }
  unsigned field(const Layer& l, const char* name, unsigned otherwise) {
    const auto at = l.fields.find(name);
    return at == l.fields.end() ? otherwise : number(at->second);
  }
  Frame bytes(std::string_view text) {
    auto out = unhex(text);
    if (!out) fail("not hex: " + std::string{text});
    return out.value_or(Frame{});
  }
  const std::string& word(const Layer& l, std::size_t i) {
    static const std::string nothing;
    if (i < l.words.size()) return l.words[i];
    fail(l.name + ": too few words");
    return nothing;
  }
  bool has(const Layer& l, std::string_view flag) {
    for (const std::string& w : l.words)
      if (w == flag) return true;
    return false;
  }
  void put_mac(Frame& out, const std::string& text) {
    const auto mac = parse_mac(text);
    if (!mac) fail("not a MAC: " + text);
    else put(out, mac->bytes);
  }
  void put_ip(Frame& out, const std::string& text, std::size_t size) {
    const auto address = parse_ip(text);
    if (!address || address->wire().size() != size) fail("not an address of this family: " + text);
    else put(out, address->wire());
  }
  static unsigned ether_type(std::span<const Layer> rest) {
    const std::string_view next = rest.empty() ? "" : std::string_view{rest.front().name};
    return next == "vlan" ? 0x8100 : next == "arp" ? 0x0806 : next == "ip4" ? 0x0800 : next == "ip6" ? 0x86dd : 0xffff;
  }
  static unsigned protocol(std::span<const Layer> rest) {
    const std::string_view next = rest.empty() ? "" : std::string_view{rest.front().name};
    return next == "tcp"     ? 6
           : next == "udp"   ? 17
           : next == "icmp"  ? 1
           : next == "icmp6" ? 58
           : next == "ip4"   ? 4
           : next == "ip6"   ? 41
                             : 59;
  }

  Frame ethernet(const Layer& l, std::span<const Layer> rest) {
    Frame out;
    put_mac(out, word(l, 2));
    put_mac(out, word(l, 0));
    put16(out, field(l, "type", ether_type(rest)));
    put(out, from(rest, {}));
    return out;
  }
  Frame vlan(const Layer& l, std::span<const Layer> rest) {
    Frame out;
    put16(out, field(l, "priority", 0) << 13 | number(word(l, 0)));
    put16(out, field(l, "type", ether_type(rest)));
    put(out, from(rest, {}));
    return out;
  }
  Frame arp(const Layer& l) {
    Frame out;
    put16(out, 1);
    put16(out, 0x0800);
    put16(out, 0x0604);
    put16(out, word(l, 0) == "request" ? 1 : word(l, 0) == "reply" ? 2 : number(word(l, 0)));
    put_mac(out, word(l, 1));
    put_ip(out, word(l, 2), 4);
    put_mac(out, word(l, 4));
    put_ip(out, word(l, 5), 4);
    return out;
  }
  Frame ip4(const Layer& l, std::span<const Layer> rest) {
    Frame out, options = bytes(l.fields.contains("options") ? l.fields.at("options") : "");
    Under under;
    put_ip(under.addresses, word(l, 0), 4);
    put_ip(under.addresses, word(l, 2), 4);
    const Frame payload = from(rest, under);
    out.push_back(static_cast<std::uint8_t>(0x45 + options.size() / 4));
    out.push_back(static_cast<std::uint8_t>(field(l, "tos", 0)));
    put16(out, field(l, "length", static_cast<unsigned>(20 + options.size() + payload.size())));
    put16(out, field(l, "id", 0));
    put16(out, (has(l, "df") ? 0x4000u : 0u) | (has(l, "mf") ? 0x2000u : 0u) | field(l, "offset", 0) / 8);
    out.push_back(static_cast<std::uint8_t>(field(l, "ttl", 64)));
    out.push_back(static_cast<std::uint8_t>(field(l, "protocol", protocol(rest))));
    put16(out, 0);
    put(out, under.addresses);
    put(out, options);
    set16(out, 10, field(l, "sum", internet_checksum(out)));
    put(out, payload);
    return out;
  }
  Frame ip6(const Layer& l, std::span<const Layer> rest) {
    Frame out;
    Under under;
    put_ip(under.addresses, word(l, 0), 16);
    put_ip(under.addresses, word(l, 2), 16);
    const Frame payload = from(rest, under);
    put32(out, 6u << 28 | field(l, "class", 0) << 20 | field(l, "flow", 0));
    put16(out, field(l, "length", static_cast<unsigned>(payload.size())));
    out.push_back(static_cast<std::uint8_t>(field(l, "protocol", protocol(rest))));
    out.push_back(static_cast<std::uint8_t>(field(l, "hops", 64)));
    put(out, under.addresses);
    put(out, payload);
    return out;
  }
  Frame tcp(const Layer& l, const Frame& payload, const Under& under) {
    Frame out, options = bytes(l.fields.contains("options") ? l.fields.at("options") : "");
    unsigned flags = 0;
    for (const char letter : word(l, 3)) {
      const std::size_t bit = tcp_letters.find(letter);
      if (bit != tcp_letters.npos) flags |= 1u << bit;
      else if (letter != '-') fail("not a TCP flag: " + word(l, 3));
    }
    put16(out, number(word(l, 0)));
    put16(out, number(word(l, 2)));
    put32(out, field(l, "seq", 0));
    put32(out, field(l, "ack", 0));
    put16(out, static_cast<unsigned>((5 + options.size() / 4) << 12) | flags);
    put16(out, field(l, "window", 65535));
    put16(out, 0);
    put16(out, field(l, "urgent", 0));
    put(out, options);
    put(out, payload);
    set16(out, 16, field(l, "sum", internet_checksum(out, under.pseudo(6, out.size()))));
    return out;
  }
  Frame udp(const Layer& l, const Frame& payload, const Under& under) {
    Frame out;
    put16(out, number(word(l, 0)));
    put16(out, number(word(l, 2)));
    put16(out, field(l, "length", static_cast<unsigned>(8 + payload.size())));
    put16(out, 0);
    put(out, payload);
    const unsigned sum = internet_checksum(out, under.pseudo(17, out.size()));
    const auto given = l.fields.find("sum");
    set16(out, 6, given == l.fields.end() ? (sum ? sum : 0xffff) : given->second == "none" ? 0 : number(given->second));
    return out;
  }
  Frame icmp(const Layer& l, const Frame& payload, const Under& under) {
    Frame out;
    out.push_back(static_cast<std::uint8_t>(number(word(l, 0))));
    out.push_back(static_cast<std::uint8_t>(number(word(l, 1))));
    put16(out, 0);
    const Frame rest = bytes(l.fields.contains("rest") ? l.fields.at("rest") : "00000000");
    put(out, rest);
    put(out, payload);
    set16(out, 2, field(l, "sum", internet_checksum(out, l.name == "icmp6" ? under.pseudo(58, out.size()) : 0)));
    return out;
  }

  std::string error_;
};

// -- frame to text

class Describer {
 public:
  std::string describe(std::span<const std::uint8_t> in) {
    if (in.size() < 14) return "hex " + hex(in);
    out_ = "eth " + mac(in, 6) + " > " + mac(in, 0);
    by_type(get16(in, 12), in.subspan(14));
    return out_;
  }

 private:
  using Bytes = std::span<const std::uint8_t>;

  static std::string mac(Bytes in, std::size_t at) {
    MacAddress m;
    std::copy_n(in.begin() + static_cast<std::ptrdiff_t>(at), 6, m.bytes.begin());
    return std::string{to_text(m).view()};
  }
  static std::string ip(Bytes in, std::size_t at, bool v4) {
    return std::string{to_text(v4 ? IpAddress::from_v4_wire(&in[at]) : IpAddress::from_v6_wire(&in[at])).view()};
  }
  void add(const char* name, unsigned value, unsigned usual) {
    if (value != usual) out_ += " " + std::string{name} + "=" + std::to_string(value);
  }
  void add_sum(unsigned value, unsigned right) {
    char text[16];
    std::snprintf(text, sizeof text, " sum=0x%04x", value);
    if (value != right) out_ += text;
  }
  void payload(Bytes in) {
    if (in.empty()) return;
    bool printable = in.front() != ' ' && in.back() != ' ';
    std::string text;
    for (const std::uint8_t byte : in) {
      printable =
          printable && ((byte >= ' ' && byte < 127 && byte != '|' && byte != '\\') || byte == '\r' || byte == '\n');
      if (byte == '\r') text += "\\r";
      else if (byte == '\n') text += "\\n";
      else text += static_cast<char>(byte);
    }
    out_ += printable ? " | text " + text : " | hex " + hex(in);
  }
  static std::string_view type_layer(unsigned type) {
    return type == 0x8100 ? "vlan" : type == 0x0806 ? "arp" : type == 0x0800 ? "ip4" : type == 0x86dd ? "ip6" : "";
  }
  void by_type(unsigned type, Bytes in) {
    if (type == 0x8100 && in.size() >= 4) {
      out_ += " | vlan " + std::to_string(get16(in, 0) & 0xfff);
      add("priority", get16(in, 0) >> 13, 0);
      return by_type(get16(in, 2), in.subspan(4));
    }
    if (type == 0x0806 && in.size() >= 28) return arp(in);
    if (type == 0x0800 && in.size() >= 20) return ip4(in);
    if (type == 0x86dd && in.size() >= 40) return ip6(in);
    char text[16];
    std::snprintf(text, sizeof text, " type=0x%04x", type);
    out_ += text;
    payload(in);
  }
  void arp(Bytes in) {
    const unsigned operation = get16(in, 6);
    out_ += " | arp " + (operation == 1 ? "request" : operation == 2 ? "reply" : std::to_string(operation));
    out_ += " " + mac(in, 8) + " " + ip(in, 14, true) + " > " + mac(in, 18) + " " + ip(in, 24, true);
    payload(in.subspan(28));
  }
  void ip4(Bytes in) {
    const std::size_t size = (in[0] & 15) * 4u;
    if (size < 20 || size > in.size()) return payload(in);
    out_ += " | ip4 " + ip(in, 12, true) + " > " + ip(in, 16, true);
    add("ttl", in[8], 64);
    add("id", get16(in, 4), 0);
    add("tos", in[1], 0);
    if (in[6] & 0x40) out_ += " df";
    if (in[6] & 0x20) out_ += " mf";
    add("offset", (get16(in, 6) & 0x1fff) * 8, 0);
    if (size > 20) out_ += " options=" + hex(in.subspan(20, size - 20));
    add("length", get16(in, 2), static_cast<unsigned>(in.size()));
    Frame header{in.begin(), in.begin() + static_cast<std::ptrdiff_t>(size)};
    set16(header, 10, 0);
    add_sum(get16(in, 10), internet_checksum(header));
    by_protocol(in[9], in.subspan(size), {Frame{in.begin() + 12, in.begin() + 20}}, get16(in, 6) & 0x1fff);
  }
  void ip6(Bytes in) {
    out_ += " | ip6 " + ip(in, 8, false) + " > " + ip(in, 24, false);
    add("hops", in[7], 64);
    add("class", get32(in, 0) >> 20 & 0xff, 0);
    add("flow", get32(in, 0) & 0xfffff, 0);
    add("length", get16(in, 4), static_cast<unsigned>(in.size() - 40));
    by_protocol(in[6], in.subspan(40), {Frame{in.begin() + 8, in.begin() + 40}}, false);
  }
  void by_protocol(unsigned protocol, Bytes in, const Under& under, bool later_fragment) {
    if (!later_fragment) {
      if (protocol == 6 && in.size() >= 20) return tcp(in, under);
      if (protocol == 17 && in.size() >= 8) return udp(in, under);
      if ((protocol == 1 || protocol == 58) && in.size() >= 8) return icmp(in, under, protocol);
    }
    add("protocol", protocol, 59);
    payload(in);
  }
  void tcp(Bytes in, const Under& under) {
    const std::size_t size = (in[12] >> 4) * 4u;
    if (size < 20 || size > in.size()) return payload(in);
    out_ += " | tcp " + std::to_string(get16(in, 0)) + " > " + std::to_string(get16(in, 2)) + " ";
    for (unsigned bit = 0; bit < 8; ++bit)
      if (in[13] >> bit & 1) out_ += tcp_letters[bit];
    if (in[13] == 0) out_ += "-";
    add("seq", get32(in, 4), 0);
    add("ack", get32(in, 8), 0);
    add("window", get16(in, 14), 65535);
    add("urgent", get16(in, 18), 0);
    if (size > 20) out_ += " options=" + hex(in.subspan(20, size - 20));
    Frame whole{in.begin(), in.end()};
    set16(whole, 16, 0);
    add_sum(get16(in, 16), internet_checksum(whole, under.pseudo(6, whole.size())));
    payload(in.subspan(size));
  }
  void udp(Bytes in, const Under& under) {
    out_ += " | udp " + std::to_string(get16(in, 0)) + " > " + std::to_string(get16(in, 2));
    add("length", get16(in, 4), static_cast<unsigned>(in.size()));
    Frame whole{in.begin(), in.end()};
    set16(whole, 6, 0);
    const unsigned sum = internet_checksum(whole, under.pseudo(17, whole.size()));
    if (get16(in, 6) == 0) out_ += " sum=none";
    else add_sum(get16(in, 6), sum ? sum : 0xffff);
    payload(in.subspan(8));
  }
  void icmp(Bytes in, const Under& under, unsigned protocol) {
    out_ += std::string{protocol == 1 ? " | icmp " : " | icmp6 "} + std::to_string(in[0]) + " " + std::to_string(in[1]);
    if (get32(in, 4)) out_ += " rest=" + hex(in.subspan(4, 4));
    Frame whole{in.begin(), in.end()};
    set16(whole, 2, 0);
    add_sum(get16(in, 2), internet_checksum(whole, protocol == 58 ? under.pseudo(58, whole.size()) : 0));
    const bool error = protocol == 1 ? in[0] == 3 || in[0] == 11 || in[0] == 12 : in[0] < 128;
    const Bytes quoted = in.subspan(8);
    if (error && protocol == 1 && quoted.size() >= 20 && quoted[0] >> 4 == 4) return ip4(quoted);
    if (error && protocol == 58 && quoted.size() >= 40 && quoted[0] >> 4 == 6) return ip6(quoted);
    payload(quoted);
  }

  std::string out_;
};

}  // namespace

std::expected<Frame, std::string> frame_of(std::string_view text) { return Builder{}.build(split(text)); }

Frame frame(std::string_view text) {
  auto out = frame_of(text);
  if (out) return *out;
  std::fprintf(stderr, "packet text: %s in: %.*s\n", out.error().c_str(), static_cast<int>(text.size()), text.data());
  std::abort();
}

std::string text_of_ip(std::span<const std::uint8_t> packet) {
  Frame whole(14, 0);
  set16(whole, 12, !packet.empty() && packet[0] >> 4 == 6 ? 0x86dd : 0x0800);
  put(whole, packet);
  const std::string text = text_of(whole);
  return text.substr(text.find(" | ") + 3);
}

std::string text_of(std::span<const std::uint8_t> frame) { return Describer{}.describe(frame); }

}  // namespace sluice::test
