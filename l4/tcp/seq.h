// seq.h - a TCP sequence number: 32 bits that wrap (RFC 9293 3.4). Comparison is by signed distance, so it is an order
// only among numbers less than 2^31 apart; there is no operator<=> to sort by.
#pragma once

#include <cstdint>

namespace sluice::tcp {

struct Seq {
  std::uint32_t value = 0;

  constexpr bool operator==(const Seq&) const = default;
  constexpr Seq operator+(std::uint32_t n) const { return {value + n}; }
  constexpr Seq operator-(std::uint32_t n) const { return {value - n}; }
  constexpr Seq& operator+=(std::uint32_t n) {
    value += n;
    return *this;
  }
  // How far `*this` is ahead of `other`; negative when it is behind.
  constexpr std::int32_t operator-(Seq other) const { return static_cast<std::int32_t>(value - other.value); }

  constexpr bool operator<(Seq other) const { return *this - other < 0; }
  constexpr bool operator<=(Seq other) const { return *this - other <= 0; }
  constexpr bool operator>(Seq other) const { return *this - other > 0; }
  constexpr bool operator>=(Seq other) const { return *this - other >= 0; }
};

constexpr Seq later(Seq a, Seq b) { return a < b ? b : a; }
constexpr Seq earlier(Seq a, Seq b) { return a < b ? a : b; }

}  // namespace sluice::tcp
