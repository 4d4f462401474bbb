#include "l4/tcp/key_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "dataplane/base/rng.h"
#include "l4/tcp/key.h"

namespace sluice::tcp {
namespace {

// Random inserts, erases, replacements and look-ups beside std::unordered_map. Hashes come from few bits, so that
// buckets fill, spill and empty again; several keys share a whole hash.
TEST(KeyTable, AgreesWithAMapOverRandomOperations) {
  Rng rng{1};
  KeyTable table{256};
  std::unordered_map<std::uint32_t, std::uint64_t> hash_of;  // by value
  std::vector<std::uint32_t> values;
  std::uint32_t next = 0;
  unsigned refused = 0;
  const auto some_hash = [&] { return rng.below(4) * 0x0100'0000'0000'0000u + rng.below(12); };
  const auto found = [&](std::uint32_t value) {
    return table.find(hash_of.at(value), [value](std::uint32_t candidate) { return candidate == value; });
  };
  for (int step = 0; step < 100'000; ++step) {
    const std::uint32_t what = rng.below(100);
    if (values.empty() || what < 50) {
      const std::uint64_t hash = some_hash();
      if (table.insert(hash, next)) {
        hash_of[next] = hash;
        values.push_back(next);
      } else {
        ++refused;
      }
      ++next;
    } else {
      const std::uint32_t at = rng.below(static_cast<std::uint32_t>(values.size())), value = values[at];
      ASSERT_EQ(found(value), value);
      if (what < 90) {
        table.erase(hash_of.at(value), value);
        ASSERT_EQ(found(value), KeyTable::none);
        values[at] = values.back();
        values.pop_back();
      } else {
        table.replace(hash_of.at(value), value, next);
        hash_of[next] = hash_of.at(value);
        values[at] = next++;
      }
      hash_of.erase(value);
    }
  }
  for (const std::uint32_t value : values) EXPECT_EQ(found(value), value);
  EXPECT_GT(refused, 0u) << "full buckets were meant to happen";
  EXPECT_EQ(table.find(77, [](std::uint32_t) { return true; }), KeyTable::none);
}

// The largest capacities for their numbers of buckets (half load), under many hashes: a refusal is a connection that
// a client does not get, although the table has room for as many again. Erased, none of them is found.
TEST(KeyTable, TakesItsCapacity) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    Rng rng{seed};
    const std::uint32_t capacity = 6 * 2046;
    KeyTable table{capacity};
    std::vector<std::uint64_t> hashes;
    for (std::uint32_t i = 0; i < capacity; ++i) {
      hashes.push_back(rng.next());
      ASSERT_TRUE(table.insert(hashes.back(), i)) << i << " with seed " << seed;
    }
    for (std::uint32_t i = 0; i < capacity; ++i)
      ASSERT_EQ(table.find(hashes[i], [i](std::uint32_t value) { return value == i; }), i);
    for (std::uint32_t i = 0; i < capacity; ++i) table.erase(hashes[i], i);
    for (const std::uint64_t hash : hashes)
      ASSERT_EQ(table.find(hash, [](std::uint32_t) { return true; }), KeyTable::none);
  }
}

// One host's connections must spread whatever the secret is: 50,000 ports over 2^18 buckets, a fifth of one in each.
TEST(KeyHash, SpreadsThePortsOfOneHostUnderEverySecret) {
  std::vector<std::uint8_t> load(std::size_t{1} << 18);
  for (std::uint8_t secret = 0; secret < 200; ++secret) {
    const KeyHash hash{SipHash::Key{secret}};
    std::ranges::fill(load, std::uint8_t{0});
    Key key{*parse_ip("10.0.0.80"), IpAddress::from_v4(0x0a400000u + secret % 7), 80, 0, 0, 0};
    unsigned most = 0;
    for (std::uint16_t port = 10'000; port < 60'000; ++port) {
      key.remote_port = port;
      most = std::max<unsigned>(most, ++load[hash(key) & (load.size() - 1)]);
    }
    ASSERT_LE(most, 8u) << unsigned{secret};
  }
}

}  // namespace
}  // namespace sluice::tcp
