// key.h - what tells connections apart: both full addresses, both ports and the network; and its keyed hash.
#pragma once

#include <bit>
#include <cstring>

#include "dataplane/base/address.h"
#include "dataplane/base/hash.h"

namespace sluice::tcp {

struct Key {
  IpAddress local, remote;
  std::uint16_t local_port = 0, remote_port = 0, network = 0, zero = 0;

  bool operator==(const Key& other) const { return std::memcmp(this, &other, sizeof *this) == 0; }
};
static_assert(sizeof(Key) == 40 && std::has_unique_object_representations_v<Key>);

// Multiply and fold over secret words: a peer that does not know them cannot choose where its connections land.
class KeyHash {
 public:
  explicit KeyHash(const SipHash::Key& secret) {
    const SipHash sip{secret};
    for (std::uint8_t i = 0; i < 6; ++i) words_[i] = sip(ByteView{&i, 1}) | 1;
  }
  std::uint64_t operator()(const Key& key) const {
    std::uint64_t in[5];
    std::memcpy(in, &key, sizeof in);
    const std::uint64_t a = fold(in[0] ^ words_[0], in[1] ^ words_[1]);
    const std::uint64_t b = fold(in[2] ^ words_[2], in[3] ^ words_[3]);
    // Into both factors: with one of them fixed, the ports of one host would be steps of one size, and where that size
    // nearly divides the table they would all fall into a few of its buckets.
    const std::uint64_t c = fold(in[4] ^ words_[4], words_[5]);
    return fold(a ^ c, b ^ std::rotl(c, 32));
  }

 private:
  static std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
    const auto product = static_cast<unsigned __int128>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  }
  std::uint64_t words_[6];
};

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/key_table_test.cc.
