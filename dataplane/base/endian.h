// endian.h - integers as they stand on the wire. Unaligned, so that a wire header is a plain struct over its bytes.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>

namespace sluice {

static_assert(std::endian::native == std::endian::little, "Sluice runs on x86-64");

// A big-endian integer without alignment. Reading and writing the value are explicit: get(), set(), or braces.
template <std::unsigned_integral T>
class Be {
 public:
  constexpr Be() = default;
  constexpr explicit Be(T host) { set(host); }

  constexpr T get() const { return std::byteswap(std::bit_cast<T>(raw_)); }
  constexpr void set(T host) { raw_ = std::bit_cast<Raw>(std::byteswap(host)); }
  // The bytes as the machine would load them, for checksums and hashes that do not care for order.
  constexpr T raw() const { return std::bit_cast<T>(raw_); }

  // As one integer: GCC 12 compares the array byte by byte.
  constexpr bool operator==(const Be& other) const { return raw() == other.raw(); }

 private:
  struct Raw {
    std::uint8_t bytes[sizeof(T)];
  };
  Raw raw_{};
};

using Be16 = Be<std::uint16_t>;
using Be32 = Be<std::uint32_t>;
using Be64 = Be<std::uint64_t>;

static_assert(sizeof(Be32) == 4 && alignof(Be32) == 1);

}  // namespace sluice
