#include "l4/flow_table.h"

#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "dataplane/base/rng.h"

namespace sluice {
namespace {

// A flow whose every field follows from one number, so that a torn read shows.
FlowEnds ends(std::uint32_t n) {
  FlowEnds e;
  e.client = IpAddress::from_v4(n);
  e.vip = IpAddress::from_v4(~n);
  e.backend = IpAddress::from_v4(n ^ 0x55555555);
  e.local = IpAddress::from_v4(n + 7);
  e.client_port = e.backend_port = static_cast<std::uint16_t>(n);
  e.vip_port = e.local_port = static_cast<std::uint16_t>(n >> 16);
  e.service = n;
  e.endpoint = ~n;
  e.protocol = Protocol::udp;
  return e;
}

bool same(const FlowEnds& a, const FlowEnds& b) { return std::memcmp(&a, &b, sizeof a) == 0; }

TEST(FlowTable, BothKeysLeadToTheFlow) {
  FlowTable table{100, {}};
  Flow* flow = table.insert(ends(5), 0, 1000, FlowPhase::udp);
  ASSERT_TRUE(flow);
  const FlowRef client = table.find(ends(5).key(Direction::from_client));
  const FlowRef backend = table.find(ends(5).key(Direction::from_backend));
  ASSERT_TRUE(client && backend);
  EXPECT_EQ(&table[client], flow);
  EXPECT_EQ(&table[backend], flow);
  EXPECT_EQ(client.direction(), Direction::from_client);
  EXPECT_EQ(backend.direction(), Direction::from_backend);
  EXPECT_FALSE(table.find(ends(6).key(Direction::from_client)));
  table.remove(*flow);
  EXPECT_FALSE(table.find(ends(5).key(Direction::from_client)));
  EXPECT_FALSE(table.find(ends(5).key(Direction::from_backend)));
  EXPECT_EQ(table.size(), 0u);
}

TEST(FlowTable, TakesAllItsCapacityAndThenRefuses) {
  for (std::uint32_t capacity : {1u, 7u, 1000u, 100'000u, 1'000'000u}) {
    FlowTable table{capacity, {}};
    for (std::uint32_t n = 0; n < capacity; ++n)
      ASSERT_TRUE(table.insert(ends(n), 0, 1000, FlowPhase::udp)) << n << " of " << capacity;
    EXPECT_TRUE(table.full());
    EXPECT_FALSE(table.insert(ends(capacity), 0, 1000, FlowPhase::udp));
    for (std::uint32_t n = 0; n < capacity; ++n) ASSERT_TRUE(table.find(ends(n).key(Direction::from_backend)));
  }
}

// Random operations against std::map; bursts and single look-ups agree.
TEST(FlowTable, BehavesLikeAMap) {
  Rng rng{42};
  FlowTable table{300, {11, 22}};
  std::map<std::uint32_t, Flow*> model;
  for (int step = 0; step < 40'000; ++step) {
    const std::uint32_t n = rng.below(600);
    if (rng.below(2)) {
      if (model.contains(n)) continue;
      Flow* flow = table.insert(ends(n), 0, 1000, FlowPhase::udp);
      ASSERT_EQ(flow == nullptr, model.size() == 300);
      if (flow) model[n] = flow;
    } else if (model.contains(n)) {
      table.remove(*model[n]);
      model.erase(n);
    }
    if (step % 64) continue;
    std::array<FlowKey, FlowTable::burst_max> keys;
    std::array<FlowRef, FlowTable::burst_max> refs;
    std::array<std::uint32_t, FlowTable::burst_max> numbers;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      numbers[i] = rng.below(600);
      keys[i] = ends(numbers[i]).key(static_cast<Direction>(i & 1));
    }
    table.find(keys, refs);
    for (std::size_t i = 0; i < keys.size(); ++i) {
      ASSERT_EQ(static_cast<bool>(refs[i]), model.contains(numbers[i]));
      ASSERT_EQ(refs[i].bits, table.find(keys[i]).bits);
      if (refs[i]) { ASSERT_EQ(&table[refs[i]], model[numbers[i]]); }
    }
    ASSERT_EQ(table.size(), model.size());
  }
}

TEST(FlowTable, ExpiryIsLazyBoundedAndComplete) {
  FlowTable table{1000, {}};
  for (std::uint32_t n = 0; n < 100; ++n) table.insert(ends(n), 0, n < 50 ? 100 : 1000, FlowPhase::udp);
  unsigned removed = 0;
  table.expire(99, 1000, [&](const Flow&) { ++removed; });
  EXPECT_EQ(removed, 0u);
  table.expire(100, 10, [&](const Flow&) { ++removed; });
  EXPECT_LE(removed, 10u) << "no more than the budget";
  for (int i = 0; i < 20; ++i)
    table.expire(100, 10, [&](const Flow& flow) {
      EXPECT_EQ(flow.timeout_ms.get(), 100u);
      ++removed;
    });
  EXPECT_EQ(removed, 50u);
  EXPECT_EQ(table.size(), 50u);
  EXPECT_TRUE(FlowTable::expired(table[table.find(ends(60).key(Direction::from_client))], 5000));
  for (int i = 0; i < 3; ++i) table.expire(5000, 1000, [&](const Flow&) { ++removed; });
  EXPECT_EQ(removed, 100u);
  EXPECT_EQ(table.size(), 0u);
  ASSERT_TRUE(table.insert(ends(1), 5000, 10, FlowPhase::udp)) << "what expired is free again";
  table.expire(5010, 1000, [&](const Flow&) { ++removed; });
  EXPECT_EQ(removed, 101u) << "an emptied table is still walked";
}

TEST(FlowTable, TimeMayWrap) {
  FlowTable table{10, {}};
  Flow* flow = table.insert(ends(1), 0xffffff00, 1000, FlowPhase::udp);
  EXPECT_FALSE(FlowTable::expired(*flow, 0x100));
  EXPECT_TRUE(FlowTable::expired(*flow, 0x400));
}

// Lists go on while the owner inserts and removes (the point of the TSan build): no flow is ever torn.
TEST(FlowTable, ListsAreWholeWhileFlowsComeAndGo) {
  FlowTable table{256, {}};
  std::atomic<bool> stop{false};
  std::uint64_t seen = 0;
  std::thread reader{[&] {
    std::array<FlowRecord, 100> out;
    while (!stop.load()) {
      std::uint32_t from = 0;
      do {
        std::size_t count = 0;
        from = table.list(from, out, count);
        for (std::size_t i = 0; i < count; ++i) {
          ASSERT_TRUE(same(out[i].ends, ends(out[i].ends.service)));
          ++seen;
        }
        ASSERT_LE(table.size(), 256u);
      } while (from);
    }
  }};
  Rng rng{3};
  std::map<std::uint32_t, Flow*> live;
  for (std::uint32_t step = 0; step < 200'000; ++step) {
    const std::uint32_t n = rng.below(400);
    if (const auto at = live.find(n); at != live.end()) {
      at->second->packets_in.add(1);
      at->second->last_ms.set(step);
      if (rng.below(2)) {
        table.remove(*at->second);
        live.erase(at);
      }
    } else if (Flow* flow = table.insert(ends(n), step, 1000, FlowPhase::udp)) {
      live[n] = flow;
    }
  }
  stop = true;
  reader.join();
  std::array<FlowRecord, 256> out;
  std::size_t count = 0;
  EXPECT_EQ(table.list(0, out, count), 0u);
  EXPECT_EQ(count, live.size()) << "at rest a list is complete";
}

}  // namespace
}  // namespace sluice
