// units.h - time as a type. Everything below mgmt/ is told the time; nothing asks for it.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>

namespace sluice {

// A duration or a point on the monotonic scale of the caller's clock, in nanoseconds.
struct Nanos {
  std::int64_t ns = 0;

  constexpr auto operator<=>(const Nanos&) const = default;
  constexpr Nanos operator+(Nanos other) const { return {ns + other.ns}; }
  constexpr Nanos operator-(Nanos other) const { return {ns - other.ns}; }
  constexpr Nanos operator-() const { return {-ns}; }
  constexpr Nanos operator*(std::int64_t factor) const { return {ns * factor}; }
  constexpr Nanos operator/(std::int64_t divisor) const { return {ns / divisor}; }
  constexpr std::int64_t operator/(Nanos other) const { return ns / other.ns; }
  constexpr Nanos& operator+=(Nanos other) {
    ns += other.ns;
    return *this;
  }
  constexpr Nanos& operator-=(Nanos other) {
    ns -= other.ns;
    return *this;
  }

  constexpr std::int64_t micros() const { return ns / 1'000; }
  constexpr std::int64_t millis() const { return ns / 1'000'000; }
  constexpr double seconds() const { return static_cast<double>(ns) * 1e-9; }

  static constexpr Nanos never() { return {std::numeric_limits<std::int64_t>::max()}; }
};

namespace literals {
constexpr Nanos operator""_ns(unsigned long long n) { return {static_cast<std::int64_t>(n)}; }
constexpr Nanos operator""_us(unsigned long long n) { return {static_cast<std::int64_t>(n) * 1'000}; }
constexpr Nanos operator""_ms(unsigned long long n) { return {static_cast<std::int64_t>(n) * 1'000'000}; }
constexpr Nanos operator""_s(unsigned long long n) { return {static_cast<std::int64_t>(n) * 1'000'000'000}; }
}  // namespace literals

}  // namespace sluice
