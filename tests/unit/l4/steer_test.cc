#include "l4/steer.h"

#include "tests/unit/l4/text_packets.h"

namespace sluice {
namespace {

using test::TextPackets;

Services services() {
  ServiceSpec tcp{.id = 1,
                  .vip = *parse_prefix("192.0.2.10/32"),
                  .ports = {80, 80},
                  .maglev_size = 251,
                  .backends = {{1, *parse_endpoint("10.1.0.5:80"), 1}}};
  ServiceSpec udp = tcp;
  udp.id = 2;
  udp.protocol = Protocol::udp;
  ServiceSpec net = tcp;
  net.id = 3;
  net.vip = *parse_prefix("198.51.100.0/24");
  return *Services::compile({tcp, udp, net}, 1);
}

Listeners listeners(std::vector<ListenerRule> rules) { return *Listeners::compile(rules); }

LocalAddresses addresses() {
  const IpAddress ours[] = {*parse_ip("192.0.2.1"), *parse_ip("2001:db8::1")};
  const LocalRange ranges[] = {{*parse_ip("192.0.2.1"), {20000, 29999}, LocalUse::upstream},
                               {*parse_ip("192.0.2.1"), {30000, 39999}, LocalUse::snat}};
  return *LocalAddresses::compile(ours, ranges);
}

class Steer : public testing::Test {
 protected:
  Lane lane(std::string_view text) { return decide(text).lane; }
  Decision decide(std::string_view text) {
    const Packet packet = packets_.ip(text);
    return steer_one(packet, tables_);
  }
  TextPackets packets_;
  Services services_ = services();
  Listeners listeners_ = listeners({{.id = 1, .destination = *parse_prefix("192.0.2.11/32"), .ports = {443, 443}}});
  LocalAddresses addresses_ = addresses();
  SteerTables tables_{services_, listeners_, addresses_};
};

TEST_F(Steer, LanesWithOneWorker) {
  EXPECT_EQ(lane("arp request 02:00:00:00:00:01 192.0.2.7 > 00:00:00:00:00:00 192.0.2.1"), Lane::host);
  EXPECT_EQ(lane("ip4 10.0.0.1 > 192.0.2.1 | icmp 8 0 | text ping"), Lane::host);
  EXPECT_EQ(lane("ip6 fe80::1 > ff02::1:ff00:1 hops=255 | icmp6 135 0 | hex 20010db8000000000000000000000001"),
            Lane::host);
  EXPECT_EQ(lane("ip4 10.0.0.1 > 192.0.2.10 | tcp 5 > 80 S"), Lane::forward);
  EXPECT_EQ(lane("ip4 10.0.0.1 > 192.0.2.10 | udp 5 > 80"), Lane::forward);
  EXPECT_EQ(lane("ip4 10.0.0.1 > 198.51.100.77 | tcp 5 > 80 S"), Lane::forward);
  EXPECT_EQ(lane("ip4 10.0.0.1 > 192.0.2.11 | tcp 5 > 443 S"), Lane::local);
  EXPECT_EQ(lane("ip4 10.1.0.5 > 192.0.2.1 | tcp 80 > 30001 SA"), Lane::forward);
  EXPECT_EQ(lane("ip4 10.1.0.5 > 192.0.2.1 | tcp 80 > 20001 SA"), Lane::local);
  EXPECT_EQ(lane("ip4 10.0.0.1 > 192.0.2.1 | tcp 5 > 22 S"), Lane::host) << "to be answered with RST";
  EXPECT_EQ(lane("ip4 10.0.0.1 > 192.0.2.1 | udp 5 > 22"), Lane::host);
  EXPECT_EQ(lane("ip4 10.0.0.1 > 192.0.2.1 protocol=47 | text gre"), Lane::host);
}

TEST_F(Steer, DropsHaveReasons) {
  const auto reason = [&](std::string_view text) {
    const Decision d = decide(text);
    EXPECT_EQ(d.lane, Lane::drop) << text;
    return d.reason;
  };
  EXPECT_EQ(reason("ip4 10.0.0.1 > 192.0.2.99 | tcp 5 > 80 S"), Counter::drop_not_ours);
  EXPECT_EQ(reason("ip4 10.0.0.1 > 224.0.0.5 protocol=89 | text ospf"), Counter::drop_multicast);
  EXPECT_EQ(reason("ip4 0.0.0.0 > 255.255.255.255 | udp 68 > 67"), Counter::drop_multicast);
  EXPECT_EQ(reason("ip4 10.0.0.1 > 192.0.2.10 mf | udp 5 > 80 | text xxxxxxxx"), Counter::drop_fragment);
  Packet lldp = packets_.packet("eth 02:00:00:00:00:01 > 01:80:c2:00:00:0e type=0x88cc | hex 0000");
  EXPECT_EQ(steer_one(lldp, tables_).reason, Counter::drop_unknown_protocol);
}

TEST_F(Steer, TheExceptionPortTakesWhatIsLeft) {
  tables_.exception_port = true;
  EXPECT_EQ(lane("ip4 10.0.0.1 > 192.0.2.1 | tcp 5 > 22 S"), Lane::exception);
  EXPECT_EQ(lane("ip4 10.0.0.1 > 192.0.2.1 | udp 5 > 22"), Lane::exception);
  EXPECT_EQ(lane("ip4 10.0.0.1 > 224.0.0.5 protocol=89 | text ospf"), Lane::exception);
  EXPECT_EQ(lane("ip4 10.0.0.1 > 192.0.2.10 | tcp 5 > 80 S"), Lane::forward);
  EXPECT_EQ(lane("ip4 10.0.0.1 > 192.0.2.99 | tcp 5 > 80 S"), Lane::drop) << "not ours stays not ours";
}

// design.md 10: nobody asks first whether an address is ours.
TEST_F(Steer, AListenerForEverythingTakesAnyDestinationButANearerServiceComesFirst) {
  listeners_ = listeners({{.id = 1, .destination = *parse_prefix("0.0.0.0/0"), .ports = {80, 80}}});
  EXPECT_EQ(lane("ip4 10.0.0.1 > 203.0.113.77 | tcp 5 > 80 S"), Lane::local);
  EXPECT_EQ(lane("ip4 10.0.0.1 > 192.0.2.1 | tcp 5 > 80 S"), Lane::local);
  EXPECT_EQ(lane("ip4 10.0.0.1 > 192.0.2.10 | tcp 5 > 80 S"), Lane::forward);
  listeners_ = listeners({{.id = 1, .destination = *parse_prefix("192.0.2.10/32"), .ports = {80, 80}}});
  EXPECT_EQ(lane("ip4 10.0.0.1 > 192.0.2.10 | tcp 5 > 80 S"), Lane::local) << "equal prefixes: the listener";
}

TEST_F(Steer, OwnersArePureAndBothDirectionsMeet) {
  tables_.workers = 4;
  for (std::uint16_t port = 30000; port < 30008; ++port) {
    const Decision d = decide("ip4 10.1.0.5 > 192.0.2.1 | tcp 80 > " + std::to_string(port) + " SA");
    EXPECT_EQ(d.owner, port & 3);
    EXPECT_EQ(d.lane, (port & 3) == 0 ? Lane::forward : Lane::other);
  }
  unsigned counts[4] = {};
  for (unsigned port = 1; port <= 200; ++port) {
    const Decision there = decide("ip4 10.0.0.1 > 192.0.2.10 | tcp " + std::to_string(port) + " > 80 S");
    ASSERT_LT(there.owner, 4);
    ++counts[there.owner];
    for (std::uint16_t self = 0; self < 4; ++self) {
      tables_.self = self;
      EXPECT_EQ(decide("ip4 10.0.0.1 > 192.0.2.10 | tcp " + std::to_string(port) + " > 80 S").owner, there.owner);
    }
    tables_.self = 0;
  }
  for (const unsigned count : counts) EXPECT_GT(count, 20u);
}

TEST_F(Steer, WhatWasHandedOffStays) {
  tables_.workers = 4;
  for (std::uint16_t self = 0; self < 4; ++self) {
    tables_.self = self;
    Packet packet = packets_.ip("ip4 10.0.0.1 > 192.0.2.10 | tcp 5 > 80 S");
    packet.meta().handed_off = true;
    EXPECT_EQ(steer_one(packet, tables_).lane, Lane::forward);
  }
}

TEST_F(Steer, IcmpErrorsFollowTheFlowTheyAreAbout) {
  EXPECT_EQ(lane("ip4 10.9.9.9 > 192.0.2.1 | icmp 3 1 | ip4 192.0.2.1 > 10.1.0.5 | tcp 30001 > 80 A"), Lane::forward);
  EXPECT_EQ(lane("ip4 10.9.9.9 > 192.0.2.10 | icmp 3 1 | ip4 192.0.2.10 > 10.0.0.1 | tcp 80 > 5 A"), Lane::forward);
  EXPECT_EQ(lane("ip4 10.9.9.9 > 192.0.2.1 | icmp 3 1 | ip4 192.0.2.1 > 10.1.0.5 | tcp 20001 > 80 A"), Lane::local);
  EXPECT_EQ(lane("ip4 10.9.9.9 > 192.0.2.1 | icmp 3 1"), Lane::host);
  tables_.workers = 2;
  const Decision d = decide("ip4 10.9.9.9 > 192.0.2.1 | icmp 3 1 | ip4 192.0.2.1 > 10.1.0.5 | tcp 30001 > 80 A");
  EXPECT_EQ(d.lane, Lane::other);
  EXPECT_EQ(d.owner, 1);
}

struct OneConnection final : OwnConnections {
  bool has(const FlowKey& key) const override { return key.source_port == 80 && key.destination_port == 4444; }
};

TEST_F(Steer, AConnectionOutlivesItsListener) {
  const OneConnection one;
  tables_.connections = &one;
  EXPECT_EQ(lane("ip4 10.1.0.5 > 203.0.113.50 | tcp 80 > 4444 A"), Lane::local)
      << "an upstream leg from the client's address";
  EXPECT_EQ(lane("ip4 10.1.0.5 > 203.0.113.50 | tcp 80 > 4445 A"), Lane::drop);
}

// The kernel's own connections use ports that we speak from too.
TEST_F(Steer, WithAnExceptionPortOnlyKnownUpstreamSegmentsAreOurs) {
  const OneConnection one;
  tables_.connections = &one;
  addresses_ =
      *LocalAddresses::compile({}, std::array{LocalRange{*parse_ip("192.0.2.1"), {4000, 4999}, LocalUse::upstream}});
  EXPECT_EQ(lane("ip4 10.1.0.5 > 192.0.2.1 | tcp 80 > 4445 A"), Lane::local) << "TCP answers with a reset";
  tables_.exception_port = true;
  EXPECT_EQ(lane("ip4 10.1.0.5 > 192.0.2.1 | tcp 80 > 4444 A"), Lane::local);
  EXPECT_EQ(lane("ip4 10.1.0.5 > 192.0.2.1 | tcp 80 > 4445 A"), Lane::exception);
  EXPECT_EQ(lane("ip4 10.1.0.5 > 192.0.2.1 | udp 53 > 4445"), Lane::exception);
  tables_.workers = 2;
  EXPECT_EQ(lane("ip4 10.1.0.5 > 192.0.2.1 | tcp 80 > 4445 A"), Lane::other) << "its owner alone knows";
  Packet handed = packets_.ip("ip4 10.1.0.5 > 192.0.2.1 | tcp 80 > 4445 A");
  handed.meta().handed_off = true;
  EXPECT_EQ(steer_one(handed, tables_).lane, Lane::exception) << "whom it was handed to decides";
}

TEST_F(Steer, ExceptionsOverrideTheHash) {
  SteerExceptions exceptions{64};
  EXPECT_TRUE(exceptions.empty());
  tables_.workers = 4;
  tables_.exceptions = &exceptions;
  const char* text = "ip4 10.0.0.1 > 192.0.2.10 | tcp 5 > 80 S";
  const FlowKey key = flow_key(packets_.ip(text));
  const auto by_hash = decide(text).owner;
  const auto other = static_cast<std::uint16_t>((by_hash + 1) % 4);
  ASSERT_TRUE(exceptions.insert(key.reversed(), other));
  EXPECT_EQ(decide(text).owner, other) << "either direction names the flow";
  ASSERT_TRUE(exceptions.insert(key, other));
  exceptions.erase(key);
  EXPECT_TRUE(exceptions.empty());
  EXPECT_EQ(decide(text).owner, by_hash);
}

TEST(SteerExceptions, AFullBucketRefuses) {
  SteerExceptions exceptions{8};
  unsigned taken = 0;
  FlowKey key{*parse_ip("10.0.0.1"), *parse_ip("10.0.0.2"), 0, 80, Protocol::tcp, 0, 0};
  for (unsigned i = 0; i < 200; ++i) {
    key.source_port = static_cast<std::uint16_t>(i);
    taken += exceptions.insert(key, 3);
  }
  EXPECT_EQ(taken, 16u);
  for (unsigned i = 0; i < 200; ++i) {
    key.source_port = static_cast<std::uint16_t>(i);
    exceptions.erase(key);
  }
  EXPECT_TRUE(exceptions.empty());
}

TEST_F(Steer, EveryPacketOfABurstLandsInOneLane) {
  std::array<Packet, 4> burst{
      packets_.ip("ip4 10.0.0.1 > 192.0.2.10 | tcp 5 > 80 S"), packets_.ip("ip4 10.0.0.1 > 192.0.2.11 | tcp 5 > 443 S"),
      packets_.ip("ip4 10.0.0.1 > 192.0.2.99 | tcp 5 > 80 S"), packets_.ip("ip4 10.0.0.1 > 192.0.2.1 | icmp 8 0")};
  Lanes lanes;
  Counters counters;
  steer(burst, tables_, lanes, counters);
  EXPECT_EQ(lanes.forward.size(), 1);
  EXPECT_EQ(lanes.local.size(), 1);
  EXPECT_EQ(lanes.host.size(), 1);
  EXPECT_EQ(counters.get(Counter::drop_not_ours), 1u);
  lanes.clear();
  EXPECT_TRUE(lanes.forward.empty());
}

TEST_F(Steer, APacketIsSteeredInABurstAsItIsAlone) {
  // Each of another destination, port, protocol or ingress than its neighbours, each several times.
  const char* texts[] = {"ip4 10.0.0.1 > 192.0.2.10 | tcp 5 > 80 S",     "ip4 10.0.0.2 > 192.0.2.10 | tcp 5 > 80 S",
                         "ip4 10.0.0.1 > 192.0.2.10 | udp 5 > 80",       "ip4 10.0.0.1 > 192.0.2.11 | tcp 5 > 443 S",
                         "ip4 10.0.0.1 > 192.0.2.10 | tcp 5 > 443 S",    "ip4 10.0.0.1 > 192.0.2.1 | tcp 80 > 20001 SA",
                         "ip4 10.0.0.1 > 192.0.2.1 | tcp 80 > 30001 SA", "ip4 10.0.0.1 > 192.0.2.1 | tcp 5 > 81 S",
                         "ip4 10.0.0.1 > 192.0.2.99 | tcp 5 > 80 S",     "ip4 10.0.0.1 > 192.0.2.1 | udp 5 > 80"};
  listeners_ = listeners({{.id = 1, .destination = *parse_prefix("192.0.2.11/32"), .ports = {443, 443}, .ingress = 1}});
  std::array<Packet, 40> burst;
  std::array<unsigned, 6> expected{};
  for (std::size_t i = 0; i < burst.size(); ++i) {
    burst[i] = packets_.ip(texts[i * 7 % std::size(texts)]);
    burst[i].meta().port = static_cast<PortId>(i / 20);
    ++expected[static_cast<std::size_t>(steer_one(burst[i], tables_).lane)];
  }
  Lanes lanes;
  Counters counters;
  steer(burst, tables_, lanes, counters);
  EXPECT_EQ(lanes.forward.size(), expected[static_cast<std::size_t>(Lane::forward)]);
  EXPECT_EQ(lanes.local.size(), expected[static_cast<std::size_t>(Lane::local)]);
  EXPECT_EQ(lanes.host.size(), expected[static_cast<std::size_t>(Lane::host)]);
  EXPECT_EQ(counters.get(Counter::drop_not_ours), expected[static_cast<std::size_t>(Lane::drop)]);
  for (const unsigned count : {expected[0], expected[2], expected[3], expected[4]}) EXPECT_GT(count, 0u);
  lanes.clear();
}

TEST_F(Steer, WhatContinuesAPacketGoesWhereThatGoes) {
  const auto run = [&](const char* text) {
    std::array<Packet, 3> burst{packets_.ip(text), packets_.ip(text), packets_.ip(text)};
    burst[1].meta().continues = burst[2].meta().continues = true;
    return burst;
  };
  Lanes lanes;
  Counters counters;
  std::array<Packet, 3> local = run("ip4 10.0.0.1 > 192.0.2.11 | tcp 5 > 443 A");
  steer(local, tables_, lanes, counters);
  ASSERT_EQ(lanes.local.size(), 3);
  EXPECT_FALSE(lanes.local.packets()[0].meta().continues);
  EXPECT_TRUE(lanes.local.packets()[1].meta().continues && lanes.local.packets()[2].meta().continues);
  lanes.clear();
  std::array<Packet, 3> nobodys = run("ip4 10.0.0.1 > 192.0.2.99 | tcp 5 > 80 A");
  steer(nobodys, tables_, lanes, counters);
  EXPECT_EQ(counters.get(Counter::drop_not_ours), 3u);
  // On the way to another worker some may be lost: there each is looked at again.
  tables_.workers = 2;
  std::array<Packet, 3> other = run("ip4 10.0.0.1 > 192.0.2.11 | tcp 5 > 443 A");
  tables_.self = static_cast<std::uint16_t>(1 - owner_of_hash(other[0].meta().hash, 2));
  steer(other, tables_, lanes, counters);
  ASSERT_EQ(lanes.other.size(), 3);
  for (const Packet& packet : lanes.other.packets()) EXPECT_FALSE(packet.meta().continues);
  lanes.clear();
}

}  // namespace
}  // namespace sluice
