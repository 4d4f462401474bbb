// checksum.h - the Internet checksum (RFC 1071) and its incremental update (RFC 1624, equation 3).
// A `Sum` adds 16-bit words as the machine loads them: a one's complement sum does not care for byte order as long as
// result and words agree, so nothing is swapped. Limits: up to 2^32 words a sum, far beyond a frame.
#pragma once

#include <bit>

#include "dataplane/base/address.h"
#include "dataplane/packet/packet.h"

namespace sluice {

using Sum = std::uint64_t;  // not folded yet

// Adds bytes that start at an even offset of what is summed; an odd last byte counts as if a zero followed.
Sum add_bytes(Sum sum, ByteView bytes);

// Adds `size` bytes from `offset` on of a chain of segments, whose sizes may be odd. The bytes must be there.
Sum add_segments(Sum sum, const rte_mbuf* first, std::uint32_t offset, std::uint32_t size);

// Adds the pseudo header (RFC 9293 3.1, RFC 8200 8.1). `size` counts the transport header and its payload; 0 for the
// form that TSO wants.
Sum add_pseudo_header(Sum sum, const IpAddress& source, const IpAddress& destination, Protocol protocol,
                      std::uint32_t size);

constexpr std::uint16_t fold(Sum sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

// The folded sum as it stands in a header, and its complement, which is the checksum.
constexpr Be16 folded(Sum sum) { return std::bit_cast<Be16>(fold(sum)); }
constexpr Be16 checksum(Sum sum) { return std::bit_cast<Be16>(static_cast<std::uint16_t>(~fold(sum))); }
// UDP writes a checksum of 0 as 0xffff, because 0 means none.
constexpr Be16 udp_checksum(Sum sum) {
  const Be16 result = checksum(sum);
  return result.raw() ? result : Be16{0xffff};
}

// What a checksum becomes when words of what it covers change: collect the differences, apply them once.
// `before` and `after` have equal, even sizes and stood at an even offset.
class ChecksumDelta {
 public:
  void change(ByteView before, ByteView after) { sum_ = add_bytes(sum_ + complement(before), after); }
  template <typename T>
  void change(Be<T> before, Be<T> after) {
    change({reinterpret_cast<const std::uint8_t*>(&before), sizeof before},
           {reinterpret_cast<const std::uint8_t*>(&after), sizeof after});
  }
  void change(const IpAddress& before, const IpAddress& after) { change(before.wire(), after.wire()); }

  // HC' = ~(~HC + ~m + m')
  void apply(Be16& field) const { field = checksum(sum_ + static_cast<std::uint16_t>(~field.raw())); }
  // Leaves 0 (none) alone, and never makes one.
  void apply_udp(Be16& field) const {
    if (field.raw() == 0) return;
    field = udp_checksum(sum_ + static_cast<std::uint16_t>(~field.raw()));
  }

 private:
  static Sum complement(ByteView bytes) { return static_cast<std::uint16_t>(~fold(add_bytes(0, bytes))); }
  Sum sum_ = 0;
};

}  // namespace sluice
