#include "dataplane/base/address.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstdio>

namespace sluice {

namespace {

template <std::size_t N>
struct CString {
  char data[N];
  bool ok;
  explicit CString(std::string_view text) : ok(text.size() < N && text.find('\0') == text.npos) {
    if (!ok) return;
    std::memcpy(data, text.data(), text.size());
    data[text.size()] = 0;
  }
};

template <typename T>
std::optional<T> parse_number(std::string_view text, unsigned max) {
  unsigned value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value > max) return std::nullopt;
  return static_cast<T>(value);
}

}  // namespace

bool Prefix::contains(const IpAddress& other) const {
  if (address.is_v4() != other.is_v4()) return false;
  const ByteView mine = address.wire(), theirs = other.wire();
  const std::size_t whole = length / 8, rest = length % 8;
  if (std::memcmp(mine.data(), theirs.data(), whole) != 0) return false;
  return rest == 0 || ((mine[whole] ^ theirs[whole]) >> (8 - rest)) == 0;
}

Prefix Prefix::masked() const {
  Prefix out = *this;
  const std::size_t first = address.is_v4() ? 96 + length : length;
  for (std::size_t bit = first; bit < 128; ++bit) out.address.bytes[bit / 8] &= ~(0x80 >> (bit % 8));
  return out;
}

std::optional<MacAddress> parse_mac(std::string_view text) {
  if (text.size() != 17) return std::nullopt;
  MacAddress mac;
  for (std::size_t i = 0; i < 6; ++i) {
    if (i && text[3 * i - 1] != ':') return std::nullopt;
    const char* at = text.data() + 3 * i;
    auto [end, error] = std::from_chars(at, at + 2, mac.bytes[i], 16);
    if (error != std::errc{} || end != at + 2) return std::nullopt;
  }
  return mac;
}

std::optional<IpAddress> parse_ip(std::string_view text) {
  CString<INET6_ADDRSTRLEN> copy{text};
  if (!copy.ok) return std::nullopt;
  std::uint8_t wire[16];
  if (inet_pton(AF_INET, copy.data, wire) == 1) return IpAddress::from_v4_wire(wire);
  if (inet_pton(AF_INET6, copy.data, wire) == 1) return IpAddress::from_v6_wire(wire);
  return std::nullopt;
}

std::optional<Prefix> parse_prefix(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == text.npos) return std::nullopt;
  const auto address = parse_ip(text.substr(0, slash));
  if (!address) return std::nullopt;
  const auto length = parse_number<std::uint8_t>(text.substr(slash + 1), address->is_v4() ? 32 : 128);
  if (!length) return std::nullopt;
  return Prefix{*address, *length};
}

std::optional<Endpoint> parse_endpoint(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == text.npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto address = parse_ip(host);
  const auto port = parse_number<std::uint16_t>(text.substr(colon + 1), 65535);
  if (!address || !port || (host.find(':') != host.npos) != bracketed) return std::nullopt;
  return Endpoint{*address, *port};
}

AddressText to_text(const MacAddress& mac) {
  AddressText out;
  out.size =
      static_cast<std::uint8_t>(std::snprintf(out.data, sizeof out.data, "%02x:%02x:%02x:%02x:%02x:%02x", mac.bytes[0],
                                              mac.bytes[1], mac.bytes[2], mac.bytes[3], mac.bytes[4], mac.bytes[5]));
  return out;
}

AddressText to_text(const IpAddress& address) {
  AddressText out;
  if (address.is_v4()) {  // in every forwarded request
    char* at = out.data;
    for (int i = 12; i < 16; ++i) {
      at = std::to_chars(at, out.data + sizeof out.data, unsigned{address.bytes[i]}).ptr;
      *at++ = '.';
    }
    *--at = '\0';
    out.size = static_cast<std::uint8_t>(at - out.data);
    return out;
  }
  inet_ntop(AF_INET6, address.wire().data(), out.data, sizeof out.data);
  out.size = static_cast<std::uint8_t>(std::strlen(out.data));
  return out;
}

AddressText to_text(const Prefix& prefix) {
  AddressText out = to_text(prefix.address);
  out.size += static_cast<std::uint8_t>(
      std::snprintf(out.data + out.size, sizeof out.data - out.size, "/%u", unsigned{prefix.length}));
  return out;
}

AddressText to_text(const Endpoint& endpoint) {
  const AddressText host = to_text(endpoint.address);
  AddressText out;
  out.size = static_cast<std::uint8_t>(std::snprintf(
      out.data, sizeof out.data, endpoint.address.is_v4() ? "%s:%u" : "[%s]:%u", host.data, unsigned{endpoint.port}));
  return out;
}

}  // namespace sluice
