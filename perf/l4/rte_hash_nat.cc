#include "perf/l4/rte_hash_nat.h"

#include <rte_cycles.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <sys/mman.h>

#include <bit>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/wire/ip4.h"
#include "dataplane/packet/wire/udp.h"

namespace sluice::perf {

namespace {

constexpr std::uint16_t burst = 32;
constexpr std::size_t huge_page = 2u << 20;

std::size_t whole_pages(std::size_t bytes) { return (bytes + huge_page - 1) / huge_page * huge_page; }

std::uint16_t difference(std::initializer_list<std::uint32_t> before, std::initializer_list<std::uint32_t> after) {
  std::uint64_t sum = 0;
  for (const std::uint32_t word : before) sum += (~word & 0xffff) + (~word >> 16);
  for (const std::uint32_t word : after) sum += (word & 0xffff) + (word >> 16);
  return fold(sum);
}

Be16 updated(Be16 checksum, std::uint32_t difference) {
  std::uint32_t sum = static_cast<std::uint16_t>(~checksum.raw()) + difference;
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return std::bit_cast<Be16>(static_cast<std::uint16_t>(~sum));
}

}  // namespace

void* take_huge(std::size_t bytes) {
  void* memory = std::aligned_alloc(huge_page, whole_pages(bytes));
  if (!memory) return nullptr;
  madvise(memory, whole_pages(bytes), MADV_HUGEPAGE);
  std::memset(memory, 0, whole_pages(bytes));
  return memory;
}

void give_huge(void* memory, std::size_t) { std::free(memory); }

rte_hash* make_rte_hash(const char* name, std::uint32_t keys, std::uint32_t key_size, std::uint32_t& fillers) {
  const std::uint32_t entries = std::bit_ceil(keys);
  const auto wanted = static_cast<std::uint32_t>(entries * 0.72);
  fillers = keys < wanted ? wanted - keys : 0;
  rte_hash_parameters parameters{};
  parameters.name = name;
  parameters.entries = entries;
  parameters.key_len = key_size;
  parameters.hash_func = rte_hash_crc;
  parameters.socket_id = 0;
  return rte_hash_create(&parameters);
}

std::unique_ptr<RteHashNat> RteHashNat::make(std::uint32_t flows) {
  std::unique_ptr<RteHashNat> nat{new RteHashNat};
  return nat->fill(flows) ? std::move(nat) : nullptr;
}

RteHashNat::~RteHashNat() {
  rte_hash_free(hash_);
  if (states_) give_huge(states_, state_count_ * sizeof(State));
}

bool RteHashNat::fill(std::uint32_t flows) {
  std::uint32_t fillers;
  hash_ = make_rte_hash("rte_hash_nat", 2 * flows, sizeof(Key), fillers);
  state_count_ = 2 * std::size_t{flows} + 1;
  states_ = static_cast<State*>(take_huge(state_count_ * sizeof(State)));
  if (!hash_ || !states_) return false;
  const auto ip = [](std::uint32_t address) { return __builtin_bswap32(address); };
  const auto port = [](std::uint32_t number) { return __builtin_bswap16(static_cast<std::uint16_t>(number)); };
  for (std::uint32_t i = 0; i < fillers; ++i) {
    const Key filler{ip(0x0b000000 + i), ip(NatWorld::vip), port(1), port(NatWorld::vip_port), 17};
    if (rte_hash_add_key_data(hash_, &filler, &states_[2 * std::size_t{flows}]) != 0) return false;
  }
  for (std::uint32_t flow = 0; flow < flows; ++flow) {
    const std::uint32_t spot = flow / NatWorld::backends;
    const std::uint32_t backend = NatWorld::first_backend + flow % NatWorld::backends;
    const std::uint32_t local = NatWorld::first_snat + spot % NatWorld::snat_addresses;
    const std::uint32_t local_port = NatWorld::snat_low + spot / NatWorld::snat_addresses;
    const Key there{ip(NatWorld::client_address(flow)), ip(NatWorld::vip), port(NatWorld::client_port(flow)),
                    port(NatWorld::vip_port), 17};
    const Key on{ip(local), ip(backend), port(local_port), port(NatWorld::backend_port), 17};
    const Key back{on.destination, on.source, on.destination_port, on.source_port, 17};
    const Key home{there.destination, there.source, there.destination_port, there.source_port, 17};
    if (!add(there, on, NatWorld::backend_mac(backend), states_[2 * std::size_t{flow}])) return false;
    if (!add(back, home, NatWorld::client_mac, states_[2 * std::size_t{flow} + 1])) return false;
  }
  return true;
}

bool RteHashNat::add(const Key& from, const Key& to, const MacAddress& mac, State& state) {
  state.source = to.source;
  state.destination = to.destination;
  state.source_port = to.source_port;
  state.destination_port = to.destination_port;
  std::memcpy(state.macs.data(), mac.bytes.data(), 6);
  std::memcpy(state.macs.data() + 6, NatWorld::node_mac.bytes.data(), 6);
  // The hop limit stands in the first byte of its word: one less is a difference of 0xfffe in memory order.
  state.ip_difference = fold(Sum{difference({from.source, from.destination}, {to.source, to.destination})} + 0xfffe);
  const auto ports = [](const Key& key) { return key.source_port | std::uint32_t{key.destination_port} << 16; };
  state.udp_difference =
      difference({from.source, from.destination, ports(from)}, {to.source, to.destination, ports(to)});
  return rte_hash_add_key_data(hash_, &from, &state) == 0;
}

void RteHashNat::rewrite(rte_mbuf* frame, State& state, std::uint64_t now) {
  auto* at = rte_pktmbuf_mtod(frame, std::uint8_t*);
  auto& ip = *reinterpret_cast<wire::Ip4*>(at + 14);
  auto& udp = *reinterpret_cast<wire::Udp*>(at + 34);
  std::memcpy(at, state.macs.data(), 12);
  ip.ttl = static_cast<std::uint8_t>(ip.ttl - 1);
  ip.checksum = updated(ip.checksum, state.ip_difference);
  std::memcpy(at + 26, &state.source, 8);
  std::memcpy(at + 34, &state.source_port, 4);
  if (udp.checksum.raw() != 0) {
    udp.checksum = updated(udp.checksum, state.udp_difference);
    if (udp.checksum.raw() == 0) udp.checksum = Be16{0xffff};
  }
  ++state.packets;
  state.bytes += frame->pkt_len - 14;
  state.last_tsc = now;
}

bool RteHashNat::turn(Generator& port) {
  std::array<rte_mbuf*, burst> frames;
  const std::uint16_t n = port.receive(0, frames, {});
  if (n == 0) return false;
  const std::uint64_t now = rte_rdtsc();
  std::array<Key, burst> keys;
  std::array<const void*, burst> pointers;
  std::array<void*, burst> data;
  for (std::uint16_t i = 0; i < n; ++i) rte_prefetch0(rte_pktmbuf_mtod(frames[i], std::uint8_t*));
  for (std::uint16_t i = 0; i < n; ++i) {
    const auto* at = rte_pktmbuf_mtod(frames[i], const std::uint8_t*);
    const auto& ip = *reinterpret_cast<const wire::Ip4*>(at + 14);
    const bool ours = at[12] == 8 && at[13] == 0 && ip.version_ihl == 0x45 && ip.protocol == 17 && ip.ttl > 1;
    std::memcpy(&keys[i], &ip.source, 8);
    std::memcpy(&keys[i].source_port, at + 34, 4);
    keys[i].protocol = ours ? 17 : 0;
    pointers[i] = &keys[i];
  }
  std::uint64_t hits = 0;
  rte_hash_lookup_bulk_data(hash_, pointers.data(), n, &hits, data.data());
  for (std::uint16_t i = 0; i < n; ++i)
    if (hits >> i & 1) rte_prefetch0(data[i]);
  std::uint16_t good = 0;
  for (std::uint16_t i = 0; i < n; ++i) {
    if (!(hits >> i & 1)) [[unlikely]] {
      ++unknown_;
      free_buffers(frames[i]);
      continue;
    }
    rewrite(frames[i], *static_cast<State*>(data[i]), now);
    frames[good++] = frames[i];
  }
  port.transmit(0, std::span{frames.data(), good}, {});
  return true;
}

}  // namespace sluice::perf
