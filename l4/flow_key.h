// flow_key.h - what names a flow: both ends as they stand in a packet, the protocol and the network it belongs to.
// One form for IPv4 and IPv6 (IPv4 as ::ffff:a.b.c.d), without holes, so that it compares and hashes as five words. The
// network id keeps equal addresses of different networks (VRFs, pods' networks) apart; it is 0 until there are several.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>

#include "dataplane/base/address.h"
#include "dataplane/packet/packet.h"
#include "dataplane/packet/wire/ip4.h"
#include "dataplane/packet/wire/ip6.h"

namespace sluice {

struct FlowKey {
  IpAddress source;
  IpAddress destination;
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  Protocol protocol = Protocol::none;
  std::uint8_t reserved = 0;
  std::uint16_t network = 0;

  bool operator==(const FlowKey& other) const { return std::memcmp(this, &other, sizeof *this) == 0; }
  // The key of the packets that answer this one.
  FlowKey reversed() const { return {destination, source, destination_port, source_port, protocol, 0, network}; }
};
static_assert(sizeof(FlowKey) == 40 && alignof(FlowKey) == 8);

// Keyed 64-bit hash of a key, by folded multiplication. Not symmetric. Two 64-bit seeds chosen by the owner of a table
// make its collisions unpredictable; fixed seeds make a choice (Maglev) equal on all workers and nodes.
struct FlowHash {
  std::uint64_t seed0 = 0x9e3779b97f4a7c15, seed1 = 0xd1b54a32d192ed03;

  std::uint64_t operator()(const FlowKey& key) const {
    std::uint64_t w[5];
    std::memcpy(w, &key, sizeof w);
    const std::uint64_t a = fold(w[0] ^ seed0, w[1] ^ 0xa0761d6478bd642full);
    const std::uint64_t b = fold(w[2] ^ seed1, w[3] ^ 0xe7037ed1a0b428dbull);
    const std::uint64_t c = fold(w[4] ^ seed0, 0x8ebc6af09c88c6e3ull ^ seed1);
    return fold(a ^ c ^ seed1, b ^ (c << 32 | c >> 32) ^ 0x589965cc75374cc3ull);
  }

 private:
  static std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
    const auto product = static_cast<unsigned __int128>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  }
};

// The key of a parsed IPv4 or IPv6 packet, made of the five words as which it is read: of smaller pieces, each read
// would wait for their stores.
inline FlowKey flow_key(const Packet& packet) {
  static_assert(std::endian::native == std::endian::little);
  const Meta& meta = packet.meta();
  const std::uint64_t ends = std::uint64_t{meta.source_port} | std::uint64_t{meta.destination_port} << 16 |
                             static_cast<std::uint64_t>(meta.protocol) << 32;
  std::array<std::uint64_t, 5> words{0, 0, 0, 0, ends};
  if (meta.l3 == L3::ip4) {
    const auto& ip = packet.at<wire::Ip4>(meta.l3_offset);
    constexpr std::uint64_t mapped = 0xffff0000;  // ::ffff:0:0/96, its second half
    words[1] = mapped | std::uint64_t{ip.source.raw()} << 32;
    words[3] = mapped | std::uint64_t{ip.destination.raw()} << 32;
  } else {
    static_assert(sizeof(wire::Ip6::source) == 16 &&
                  offsetof(wire::Ip6, destination) == offsetof(wire::Ip6, source) + 16);
    std::memcpy(words.data(), &packet.at<wire::Ip6>(meta.l3_offset).source, 32);
  }
  return std::bit_cast<FlowKey>(words);
}

}  // namespace sluice
