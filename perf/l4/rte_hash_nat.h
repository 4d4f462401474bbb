// rte_hash_nat.h - the peer: the smallest loop that does full-NAT over DPDK's rte_hash, written here. Per burst of 32:
// prefetch, look at Ethernet/IPv4/UDP, one rte_hash_lookup_bulk_data with the CRC hash and a 16-byte key, 64 bytes of
// state read behind prefetches (and its packet and byte counts and time written), addresses, ports, MACs and hop limit
// rewritten, both checksums updated by difference. It has no policy, ageing, neighbours, host, TCP, IPv6, statistics by
// service, nor a second worker: what a proper node does beyond it is what it costs less.
// Both directions of each flow are in the table, and filler keys up to a load of 70 %, as in a table that is in use.
#pragma once

#include <memory>

#include "perf/l4/generator.h"

struct rte_hash;

namespace sluice::perf {

class RteHashNat {
 public:
  // nullptr when rte_hash does not get its memory.
  static std::unique_ptr<RteHashNat> make(std::uint32_t flows);
  ~RteHashNat();
  RteHashNat(const RteHashNat&) = delete;
  RteHashNat& operator=(const RteHashNat&) = delete;

  // One turn. Whether it found work.
  bool turn(Generator& port);
  std::uint64_t unknown() const { return unknown_; }  // packets without a flow

 private:
  struct Key {
    std::uint32_t source, destination;  // as on the wire
    std::uint16_t source_port, destination_port;
    std::uint32_t protocol;
  };
  static_assert(sizeof(Key) == 16);
  struct alignas(64) State {
    std::uint32_t source = 0, destination = 0;
    std::uint16_t source_port = 0, destination_port = 0;
    std::array<std::uint8_t, 12> macs{};
    std::uint16_t ip_difference = 0, udp_difference = 0;  // what the rewrite adds to the checksums, kept with the flow
    std::uint32_t reserved = 0;
    std::uint64_t packets = 0, bytes = 0, last_tsc = 0;
  };
  static_assert(sizeof(State) == 64);

  RteHashNat() = default;
  bool fill(std::uint32_t flows);
  bool add(const Key& from, const Key& to, const MacAddress& mac, State& state);
  void rewrite(rte_mbuf* frame, State& state, std::uint64_t now);

  rte_hash* hash_ = nullptr;
  State* states_ = nullptr;
  std::size_t state_count_ = 0;
  std::uint64_t unknown_ = 0;
};

// For the flow table's figures as well: an rte_hash with the CRC hash for `keys` keys of `key_size` bytes at a load of
// 70 % or more (`fillers` says how many keys that were never asked for make it so).
rte_hash* make_rte_hash(const char* name, std::uint32_t keys, std::uint32_t key_size, std::uint32_t& fillers);
// Zeroed memory on transparent huge pages, touched: what our own tables stand on.
void* take_huge(std::size_t bytes);
void give_huge(void* memory, std::size_t bytes);

}  // namespace sluice::perf
