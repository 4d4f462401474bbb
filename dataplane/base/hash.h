// hash.h - the hashes of the packet path, each with one use.
//   crc32c      Castagnoli CRC (RFC 3720 appendix B.4), by the CPU's instruction: spreads keys that nobody chooses.
//   tuple_hash  over a flow's two ends, equal for both directions: steering, flow table, handoff. It is not keyed
//   against
//               an adversary: tables that use it bound what a bucket costs.
//   SipHash     SipHash-2-4 (Aumasson, Bernstein 2012), keyed: for tables whose keys an adversary picks, and cookies.
// Pure functions, any thread. x86 with SSE 4.2.
#pragma once

#include <nmmintrin.h>

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "dataplane/base/address.h"
#include "dataplane/base/bytes.h"

namespace sluice {

// The CRC of `in`, or of `in` behind what gave `previous`.
inline std::uint32_t crc32c(ByteView in, std::uint32_t previous = 0) {
  std::uint64_t crc = ~previous;
  const std::uint8_t* at = in.data();
  std::size_t left = in.size();
  for (; left >= 8; at += 8, left -= 8) crc = _mm_crc32_u64(crc, load<std::uint64_t>(at));
  for (; left; ++at, --left) crc = _mm_crc32_u8(static_cast<std::uint32_t>(crc), *at);
  return ~static_cast<std::uint32_t>(crc);
}

// One end of a flow: half of tuple_hash, for callers that keep an end fixed.
inline std::uint32_t end_hash(const IpAddress& address, std::uint16_t port, std::uint32_t seed = 0) {
  std::uint64_t words[2];
  std::memcpy(words, address.bytes.data(), 16);
  std::uint64_t crc = _mm_crc32_u64(seed ^ 0x5bd1e995u, words[0]);
  crc = _mm_crc32_u64(crc, words[1]);
  return static_cast<std::uint32_t>(_mm_crc32_u64(crc, port));
}

// Symmetric: the ends may be given in either order. `protocol` is the IP protocol number, or an enum of it.
template <typename ProtocolNumber>
std::uint32_t tuple_hash(const IpAddress& a, std::uint16_t a_port, const IpAddress& b, std::uint16_t b_port,
                         ProtocolNumber protocol, std::uint32_t seed = 0) {
  const std::uint64_t one = end_hash(a, a_port, seed), other = end_hash(b, b_port, seed);
  // The sum's carries undo the CRC's linearity; sum and product together tell (x, y) from (x + d, y - d).
  const std::uint64_t sum = one + other, product = (one | 1) * (other | 1);
  const std::uint64_t crc = _mm_crc32_u64(static_cast<std::uint8_t>(protocol), sum);
  return static_cast<std::uint32_t>(_mm_crc32_u64(crc, product));
}

class SipHash {
 public:
  using Key = std::array<std::uint8_t, 16>;
  explicit SipHash(const Key& key) {
    std::memcpy(&k0_, key.data(), 8);
    std::memcpy(&k1_, key.data() + 8, 8);
  }
  std::uint64_t operator()(ByteView in) const {
    State s{{k0_ ^ 0x736f6d6570736575, k1_ ^ 0x646f72616e646f6d, k0_ ^ 0x6c7967656e657261, k1_ ^ 0x7465646279746573}};
    const std::uint8_t* at = in.data();
    std::size_t left = in.size();
    for (; left >= 8; at += 8, left -= 8) s.absorb(load<std::uint64_t>(at));
    std::uint64_t last = static_cast<std::uint64_t>(in.size()) << 56;
    for (std::size_t i = 0; i < left; ++i) last |= std::uint64_t{at[i]} << (8 * i);
    s.absorb(last);
    s.v[2] ^= 0xff;
    for (int i = 0; i < 4; ++i) s.round();
    return s.v[0] ^ s.v[1] ^ s.v[2] ^ s.v[3];
  }

 private:
  struct State {
    std::uint64_t v[4];
    void round() {
      v[0] += v[1];
      v[1] = std::rotl(v[1], 13);
      v[1] ^= v[0];
      v[0] = std::rotl(v[0], 32);
      v[2] += v[3];
      v[3] = std::rotl(v[3], 16);
      v[3] ^= v[2];
      v[0] += v[3];
      v[3] = std::rotl(v[3], 21);
      v[3] ^= v[0];
      v[2] += v[1];
      v[1] = std::rotl(v[1], 17);
      v[1] ^= v[2];
      v[2] = std::rotl(v[2], 32);
    }
    void absorb(std::uint64_t word) {
      v[3] ^= word;
      round();
      round();
      v[0] ^= word;
    }
  };
  std::uint64_t k0_, k1_;
};

}  // namespace sluice
