// rss.h - receive-side scaling as a pure function: which queue of a NIC a tuple arrives on.
// Toeplitz hash (Microsoft RSS) over addresses and ports with a symmetric key: one of a period of 16 bits hashes all
// 16-bit words of the tuple alike, so their exclusive or is hashed once. choose_local_port() finds the local port whose
// replies come home to a given queue, by trying: a candidate costs a few cycles, and one of `queues` fits.
// (rte_thash_adjust_tuple saves the trying by bending the key, which would cost the symmetry.) Immutable, any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "dataplane/base/address.h"

namespace sluice {

class Rss {
 public:
  static constexpr std::size_t key_size = 40;  // covers the 36 bytes of an IPv6 tuple; longer keys repeat the period
  static constexpr std::array<std::uint8_t, 2> key_period{0x6d, 0x5a};

  Rss() = default;
  // `table` is the indirection table: queue of hash modulo its size (a power of two).
  explicit Rss(std::vector<std::uint16_t> table);

  std::uint32_t hash(const IpAddress& source, std::uint16_t source_port, const IpAddress& destination,
                     std::uint16_t destination_port) const;
  std::uint16_t queue(const IpAddress& source, std::uint16_t source_port, const IpAddress& destination,
                      std::uint16_t destination_port) const {
    return queue_of(hash(source, source_port, destination, destination_port));
  }
  std::uint16_t queue_of(std::uint32_t hash) const { return table_[hash & (table_.size() - 1)]; }

  // The first port of first, first + step, first + 2 step, ... (at most `tries` of them, none above 65535) at which the
  // reply from `remote` to `local` arrives on `wanted`.
  std::optional<std::uint16_t> choose_local_port(const IpAddress& local, const IpAddress& remote,
                                                 std::uint16_t remote_port, std::uint16_t wanted, std::uint16_t first,
                                                 std::uint16_t step, unsigned tries) const;

 private:
  std::vector<std::uint16_t> table_{0};
};

// The key as a NIC wants it, `size` bytes.
std::vector<std::uint8_t> rss_key(std::size_t size);

}  // namespace sluice
