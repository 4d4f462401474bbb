// address.h - MAC and IP addresses, prefixes, and the text of them.
// An IP address is always 16 bytes, IPv4 as ::ffff:a.b.c.d (RFC 4291 2.5.5.2), so that keys and tables have one form.
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string_view>

#include "dataplane/base/bytes.h"

namespace sluice {

struct MacAddress {
  std::array<std::uint8_t, 6> bytes{};
  constexpr bool operator==(const MacAddress& other) const { return words() == other.words(); }
  constexpr bool is_multicast() const { return bytes[0] & 1; }
  static constexpr MacAddress broadcast() { return {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}; }

 private:
  constexpr std::array<std::uint16_t, 3> words() const { return std::bit_cast<std::array<std::uint16_t, 3>>(bytes); }
};

// Addresses are made, compared and told apart several times a packet: by their two words, not by bytes.
struct alignas(8) IpAddress {
  using Words = std::array<std::uint64_t, 2>;
  std::array<std::uint8_t, 16> bytes{};

  constexpr Words words() const { return std::bit_cast<Words>(bytes); }
  static constexpr IpAddress from_words(Words words) { return {std::bit_cast<std::array<std::uint8_t, 16>>(words)}; }
  constexpr bool operator==(const IpAddress& other) const { return words() == other.words(); }
  constexpr std::strong_ordering operator<=>(const IpAddress& other) const {
    const Words a = words(), b = other.words();
    if (a[0] != b[0]) return std::byteswap(a[0]) <=> std::byteswap(b[0]);
    return std::byteswap(a[1]) <=> std::byteswap(b[1]);
  }
  constexpr bool is_v4() const {
    const Words w = words();
    return w[0] == 0 && static_cast<std::uint32_t>(w[1]) == v4_mark;
  }
  constexpr bool is_v6() const { return !is_v4(); }
  constexpr bool is_unspecified() const {
    const Words w = words();
    return w[0] == 0 && (w[1] == 0 || w[1] == v4_mark);
  }
  constexpr bool is_multicast() const { return is_v4() ? (bytes[12] & 0xf0) == 0xe0 : bytes[0] == 0xff; }
  constexpr bool is_link_local() const { return is_v6() && bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80; }
  // The four bytes of an IPv4 address in host order. Only where is_v4().
  constexpr std::uint32_t v4() const {
    return std::uint32_t{bytes[12]} << 24 | std::uint32_t{bytes[13]} << 16 | std::uint32_t{bytes[14]} << 8 | bytes[15];
  }
  // The bytes as the wire has them: 4 for IPv4, 16 for IPv6.
  ByteView wire() const { return is_v4() ? ByteView{bytes}.subspan(12) : ByteView{bytes}; }

  static constexpr IpAddress from_v4(std::uint32_t host_order) {
    return from_words({0, v4_mark | std::uint64_t{std::byteswap(host_order)} << 32});
  }
  static IpAddress from_v4_wire(const std::uint8_t* four) {
    std::uint32_t word;
    std::memcpy(&word, four, 4);
    return from_words({0, v4_mark | std::uint64_t{word} << 32});
  }
  static IpAddress from_v6_wire(const std::uint8_t* sixteen) {
    IpAddress a;
    std::memcpy(a.bytes.data(), sixteen, 16);
    return a;
  }

 private:
  static_assert(std::endian::native == std::endian::little);
  static constexpr std::uint32_t v4_mark = 0xffff0000;  // bytes 8 to 11 of every IPv4 address
};
static_assert(sizeof(IpAddress) == 16);

// A prefix in its own family: length is 0 to 32 for IPv4, 0 to 128 for IPv6.
struct Prefix {
  IpAddress address;
  std::uint8_t length = 0;

  constexpr bool operator==(const Prefix&) const = default;
  bool contains(const IpAddress& other) const;
  // The address with the bits behind the prefix cleared.
  Prefix masked() const;
};

// An address and a port of TCP or UDP, in host order.
struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;
  constexpr auto operator<=>(const Endpoint&) const = default;
};

// Text to address and back. Text forms: RFC 4291, RFC 5952, "a.b.c.d", "aa:bb:cc:dd:ee:ff", "address/length",
// "a.b.c.d:port", "[v6]:port". Parsing takes nothing but the whole text; no host names.
std::optional<MacAddress> parse_mac(std::string_view text);
std::optional<IpAddress> parse_ip(std::string_view text);
std::optional<Prefix> parse_prefix(std::string_view text);
std::optional<Endpoint> parse_endpoint(std::string_view text);

// Fixed-size text, so that no caller allocates.
struct AddressText {
  char data[64] = {};
  std::uint8_t size = 0;
  operator std::string_view() const { return {data, size}; }
  std::string_view view() const { return {data, size}; }
};
AddressText to_text(const MacAddress& mac);
AddressText to_text(const IpAddress& address);
AddressText to_text(const Prefix& prefix);
AddressText to_text(const Endpoint& endpoint);

}  // namespace sluice
