#include "dataplane/packet/checksum.h"

#include <algorithm>

namespace sluice {

namespace {

// Four 64-bit lanes, each summing 32-bit halves: they cannot overflow, and the compiler has them in registers.
using Lanes [[gnu::vector_size(32)]] = std::uint64_t;
constexpr std::uint64_t low_half = 0xffffffff;

// Of the address as the wire has it.
Sum address_sum(const IpAddress& address) {
  const IpAddress::Words words = address.words();
  if (address.is_v4()) return words[1] >> 32;
  return (words[0] & low_half) + (words[0] >> 32) + (words[1] & low_half) + (words[1] >> 32);
}

}  // namespace

Sum add_bytes(Sum sum, ByteView bytes) {
  const std::uint8_t* at = bytes.data();
  std::size_t left = bytes.size();
  if (left >= sizeof(Lanes)) {
    Lanes low{}, high{};
    for (; left >= sizeof(Lanes); at += sizeof(Lanes), left -= sizeof(Lanes)) {
      const Lanes words = load<Lanes>(at);
      low += words & low_half;
      high += words >> 32;
    }
    low += high;
    sum += low[0] + low[1] + low[2] + low[3];
  }
  for (; left >= 8; at += 8, left -= 8) {
    const auto word = load<std::uint64_t>(at);
    sum += (word & low_half) + (word >> 32);
  }
  if (left & 4) sum += load<std::uint32_t>(at), at += 4;
  if (left & 2) sum += load<std::uint16_t>(at), at += 2;
  if (left & 1) sum += *at;
  return sum;
}

Sum add_segments(Sum sum, const rte_mbuf* first, std::uint32_t offset, std::uint32_t size) {
  const rte_mbuf* segment = first;
  while (size > 0 && offset >= segment->data_len) {
    offset -= segment->data_len;
    segment = segment->next;
  }
  for (bool odd = false; size > 0; segment = segment->next, offset = 0) {
    const std::uint32_t here = std::min<std::uint32_t>(size, segment->data_len - offset);
    const Sum part = add_bytes(0, {rte_pktmbuf_mtod_offset(segment, const std::uint8_t*, offset), here});
    // Bytes that begin in the middle of a word stand in its other half.
    sum += odd ? std::byteswap(fold(part)) : part;
    odd ^= here & 1;
    size -= here;
  }
  return sum;
}

Sum add_pseudo_header(Sum sum, const IpAddress& source, const IpAddress& destination, Protocol protocol,
                      std::uint32_t size) {
  return sum + address_sum(source) + address_sum(destination) + (Sum{static_cast<std::uint8_t>(protocol)} << 8) +
         std::byteswap(size);
}

}  // namespace sluice
