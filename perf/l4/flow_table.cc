// flow_table.cc - the scenario flow-table: l4/flow_table beside rte_hash. An operation of lookup_1m finds a key and
// reads 64 bytes of the flow's state behind a prefetch; keys come in bursts of 32, at random. Both tables hold both
// keys of a million flows; rte_hash has the 16-byte key of IPv4 (ours holds 40 bytes, for either family), the CRC hash,
// and a load of 70 % or more.
#include <fmt/format.h>
#include <rte_hash.h>
#include <unistd.h>

#include <memory>

#include "l4/flow_table.h"
#include "perf/l4/rte_hash_nat.h"
#include "perf/scenario.h"

namespace sluice::perf {

namespace {

constexpr std::size_t burst = 32;

struct Key4 {
  std::uint32_t source, destination;
  std::uint16_t source_port, destination_port;
  std::uint32_t protocol;
};
static_assert(sizeof(Key4) == 16);
struct alignas(64) State {
  std::uint64_t words[8];
};

FlowEnds ends_of(std::uint32_t flow) {
  FlowEnds ends;
  ends.client = IpAddress::from_v4(NatWorld::client_address(flow));
  ends.vip = IpAddress::from_v4(NatWorld::vip);
  ends.backend = IpAddress::from_v4(NatWorld::first_backend + flow % NatWorld::backends);
  ends.local = IpAddress::from_v4(NatWorld::first_snat + flow / NatWorld::backends % NatWorld::snat_addresses);
  ends.client_port = NatWorld::client_port(flow);
  ends.vip_port = NatWorld::vip_port;
  ends.backend_port = NatWorld::backend_port;
  ends.local_port =
      static_cast<std::uint16_t>(NatWorld::snat_low + flow / NatWorld::backends / NatWorld::snat_addresses);
  ends.protocol = Protocol::udp;
  return ends;
}

Key4 key4_of(const FlowKey& key) {
  return {key.source.v4(), key.destination.v4(), key.source_port, key.destination_port,
          static_cast<std::uint32_t>(key.protocol)};
}

// The sum of eight words: the read of a flow's state.
std::uint64_t read_state(const void* at) {
  std::uint64_t words[8], sum = 0;
  std::memcpy(words, at, sizeof words);
  for (const std::uint64_t word : words) sum += word;
  return sum;
}

struct Random {
  std::uint64_t state = 0x9e3779b97f4a7c15;
  std::uint32_t below(std::uint32_t n) {
    state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
    return static_cast<std::uint32_t>((state * 0x2545f4914f6cdd1d >> 32) * n >> 32);
  }
};

struct Measured {
  double lookups = 0, inserts = 0;  // per second
  std::uint64_t found = 0, read = 0;
};

double per_second(std::uint64_t count, std::uint64_t cycles) {
  return static_cast<double>(count) * static_cast<double>(rte_get_tsc_hz()) / static_cast<double>(cycles);
}

Measured ours(std::uint32_t flows, std::uint64_t lookups) {
  FlowTable table{flows, FlowHash{}};
  Measured out;
  on_workers(1, [&](std::uint16_t) {
    std::uint64_t began = rte_rdtsc();
    for (std::uint32_t flow = 0; flow < flows; ++flow)
      if (!table.insert(ends_of(flow), 1, 1000, FlowPhase::udp)) give_up("flow-table: an insert was refused");
    out.inserts = per_second(flows, rte_rdtsc() - began);
    Random random;
    std::array<FlowKey, burst> keys;
    std::array<FlowRef, burst> refs;
    std::array<std::uint32_t, burst> wanted;
    began = rte_rdtsc();
    for (std::uint64_t done = 0; done < lookups; done += burst) {
      for (std::size_t i = 0; i < burst; ++i) {
        wanted[i] = random.below(flows);
        keys[i] = {IpAddress::from_v4(NatWorld::client_address(wanted[i])),
                   IpAddress::from_v4(NatWorld::vip),
                   NatWorld::client_port(wanted[i]),
                   NatWorld::vip_port,
                   Protocol::udp,
                   0,
                   0};
      }
      table.find(keys, refs);
      for (std::size_t i = 0; i < burst; ++i) {
        if (!refs[i]) continue;
        const Flow& flow = table[refs[i]];
        out.found += flow.ends.client_port == keys[i].source_port && flow.ends.client == keys[i].source;
        out.read += read_state(reinterpret_cast<const std::byte*>(&flow) + 64);
      }
    }
    out.lookups = per_second(lookups, rte_rdtsc() - began);
  });
  return out;
}

Measured theirs(std::uint32_t flows, std::uint64_t lookups) {
  std::uint32_t fillers = 0;
  rte_hash* table = make_rte_hash("flow_table_peer", 2 * flows, sizeof(Key4), fillers);
  const std::size_t bytes = sizeof(State) * (std::size_t{flows} + 1);
  auto* states = static_cast<State*>(take_huge(bytes));
  if (!table || !states) give_up("flow-table: rte_hash gets no memory");
  for (std::uint32_t i = 0; i < fillers; ++i) {
    const Key4 key{0x0b000000 + i, 1, 1, 1, 17};
    if (rte_hash_add_key_data(table, &key, &states[flows]) != 0) give_up("flow-table: rte_hash is full");
  }
  Measured out;
  on_workers(1, [&](std::uint16_t) {
    std::uint64_t began = rte_rdtsc();
    for (std::uint32_t flow = 0; flow < flows; ++flow) {
      const FlowEnds ends = ends_of(flow);
      const Key4 there = key4_of(ends.key(Direction::from_client)), back = key4_of(ends.key(Direction::from_backend));
      states[flow].words[0] = ends.client_port;
      if (rte_hash_add_key_data(table, &there, &states[flow]) || rte_hash_add_key_data(table, &back, &states[flow]))
        give_up("flow-table: rte_hash is full");
    }
    out.inserts = per_second(flows, rte_rdtsc() - began);
    Random random;
    std::array<Key4, burst> keys;
    std::array<const void*, burst> pointers;
    std::array<void*, burst> data;
    for (std::size_t i = 0; i < burst; ++i) pointers[i] = &keys[i];
    began = rte_rdtsc();
    for (std::uint64_t done = 0; done < lookups; done += burst) {
      for (std::size_t i = 0; i < burst; ++i) {
        const std::uint32_t flow = random.below(flows);
        keys[i] = {NatWorld::client_address(flow), NatWorld::vip, NatWorld::client_port(flow), NatWorld::vip_port, 17};
      }
      std::uint64_t hits = 0;
      rte_hash_lookup_bulk_data(table, pointers.data(), burst, &hits, data.data());
      for (std::size_t i = 0; i < burst; ++i)
        if (hits >> i & 1) rte_prefetch0(data[i]);
      for (std::size_t i = 0; i < burst; ++i) {
        if (!(hits >> i & 1)) continue;
        const auto& state = *static_cast<const State*>(data[i]);
        out.found += state.words[0] == keys[i].source_port;
        out.read += read_state(&state);
      }
    }
    out.lookups = per_second(lookups, rte_rdtsc() - began);
  });
  rte_hash_free(table);
  give_huge(states, bytes);
  return out;
}

}  // namespace

void run_flow_table(Ground& ground) {
  constexpr std::uint32_t flows = 1'000'000;
  const auto lookups = ground.options.pick<std::uint64_t>(16'000'000, 8'000'000, 1'600'000);
  Figure lookup{.scenario = "flow-table", .name = "lookup_1m", .unit = "operations/s", .peer = "rte_hash"};
  Figure insert{.scenario = "flow-table", .name = "insert_1m", .unit = "operations/s", .peer = "rte_hash"};
  for (unsigned sample = 0; sample < ground.options.samples(); ++sample) {
    const Measured we = ours(flows, lookups);
    usleep(100'000);
    const Measured they = theirs(flows, lookups);
    usleep(100'000);
    if (we.found != lookups || they.found != lookups)
      give_up(fmt::format("flow-table: found {} and {} of {}", we.found, they.found, lookups));
    lookup.samples.push_back(we.lookups);
    lookup.peer_samples.push_back(they.lookups);
    insert.samples.push_back(we.inserts);
    insert.peer_samples.push_back(they.inserts);
    lookup.result_hash = hash_text(we.found);
  }
  lookup.params.add("flows", flows)
      .add("keys", 2.0 * flows)
      .add("burst", static_cast<double>(burst))
      .add("order", "random");
  insert.params.add("flows", flows).add("keys_per_operation", 2);
  ground.report.add(std::move(lookup));
  ground.report.add(std::move(insert));
}

}  // namespace sluice::perf
