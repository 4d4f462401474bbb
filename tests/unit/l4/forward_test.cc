#include "l4/forward.h"

#include "tests/unit/l4/text_packets.h"

namespace sluice {
namespace {

using test::TextPackets;
using namespace sluice::literals;

LocalAddresses addresses(PortRange ports = {30000, 39999}) {
  const LocalRange ranges[] = {{*parse_ip("192.0.2.1"), ports, LocalUse::snat},
                               {*parse_ip("2001:db8::1"), ports, LocalUse::snat}};
  return *LocalAddresses::compile({}, ranges);
}

ServiceSpec spec(ServiceId id, const char* vip, Protocol protocol, std::vector<Backend> backends) {
  return {.id = id,
          .vip = *parse_prefix(vip),
          .ports = {80, 80},
          .protocol = protocol,
          .maglev_size = 251,
          .backends = std::move(backends)};
}

Services services(std::vector<Backend> backends, std::uint64_t generation = 1) {
  return *Services::compile(
      {spec(1, "192.0.2.10/32", Protocol::tcp, backends), spec(2, "192.0.2.10/32", Protocol::udp, backends)},
      generation);
}

const Backend five{5, *parse_endpoint("10.1.0.5:8080"), 1}, six{6, *parse_endpoint("10.1.0.6:8080"), 1};

class Forward : public testing::Test {
 protected:
  // What goes on in answer to one packet: its text, why it was rejected, or "" for a drop.
  std::string send(std::string_view text) {
    std::array<Packet, 1> burst{packets_.ip(text)};
    Forwarded out;
    forwarder_->forward(burst, services_, now_, out);
    return told(out);
  }
  static std::string told(Forwarded& out) {
    if (out.rejected_count) {
      constexpr const char* names[] = {"no flow", "no backend", "hop limit", "not ours"};
      return names[static_cast<std::size_t>(out.rejected[0].why)];
    }
    return out.count ? test::text_of_ip(out.packets[0].bytes()) : "";
  }
  void start(Forwarder::Config config, LocalAddresses local) {
    addresses_ = std::move(local);
    forwarder_ = std::make_unique<Forwarder>(config, addresses_, stats_, counters_);
  }
  void SetUp() override { start({.flows = 100}, addresses()); }
  void sweep() {
    for (int i = 0; i < 4; ++i) forwarder_->expire(services_, now_ += 1_s);
  }

  TextPackets packets_;
  LocalAddresses addresses_;
  Services services_ = services({five});
  L4Stats stats_{10, 10};
  Counters counters_;
  std::unique_ptr<Forwarder> forwarder_;
  Nanos now_ = 100_s;
};

TEST_F(Forward, AFlowGoesThereAndBack) {
  EXPECT_EQ(send("ip4 10.0.0.1 > 192.0.2.10 | tcp 1234 > 80 S"),
            "ip4 192.0.2.1 > 10.1.0.5 ttl=63 | tcp 30001 > 8080 S");
  EXPECT_EQ(send("ip4 10.1.0.5 > 192.0.2.1 | tcp 8080 > 30001 SA"),
            "ip4 192.0.2.10 > 10.0.0.1 ttl=63 | tcp 80 > 1234 SA");
  EXPECT_EQ(send("ip4 10.0.0.1 > 192.0.2.10 | tcp 1234 > 80 PA | text hello"),
            "ip4 192.0.2.1 > 10.1.0.5 ttl=63 | tcp 30001 > 8080 PA | text hello");
  EXPECT_EQ(stats_.service(1).packets_in.get(), 2u);
  EXPECT_EQ(stats_.service(1).packets_out.get(), 1u);
  EXPECT_EQ(stats_.service(1).bytes_in.get(), 40u + 45u);
  EXPECT_EQ(stats_.endpoint(5).flows_new.get(), 1u);
  EXPECT_EQ(stats_.endpoint(5).flows_active.get(), 1u);
  EXPECT_EQ(counters_.get(Counter::l4_flows), 1u);
}

TEST_F(Forward, PacketsOfOneFlowInOneBurstShareIt) {
  std::array<Packet, 3> burst{packets_.ip("ip4 10.0.0.1 > 192.0.2.10 | udp 1234 > 80 | text a"),
                              packets_.ip("ip4 10.0.0.1 > 192.0.2.10 | udp 1234 > 80 | text b"),
                              packets_.ip("ip4 10.0.0.1 > 192.0.2.10 | udp 1235 > 80 | text c")};
  Forwarded out;
  forwarder_->forward(burst, services_, now_, out);
  EXPECT_EQ(out.count, 3);
  EXPECT_EQ(forwarder_->flows().size(), 2u);
}

TEST_F(Forward, WhatHasNoFlowIsTold) {
  EXPECT_EQ(send("ip4 10.0.0.1 > 192.0.2.10 | tcp 1234 > 80 A"), "no flow");
  EXPECT_EQ(send("ip4 10.0.0.1 > 192.0.2.10 | tcp 1234 > 80 SA"), "no flow");
  EXPECT_EQ(send("ip4 10.1.0.5 > 192.0.2.1 | tcp 8080 > 30001 SA"), "not ours");
  EXPECT_EQ(send("ip4 10.1.0.5 > 192.0.2.1 | udp 8080 > 30001"), "not ours");
  EXPECT_EQ(send("ip4 10.0.0.1 > 192.0.2.10 ttl=1 | tcp 1234 > 80 S"), "hop limit");
  EXPECT_EQ(forwarder_->flows().size(), 0u);
  services_ = services({});
  EXPECT_EQ(send("ip4 10.0.0.1 > 192.0.2.10 | tcp 1234 > 80 S"), "no backend");
  EXPECT_EQ(send("ip4 10.0.0.1 > 192.0.2.10 | udp 1234 > 80"), "no backend");
  EXPECT_EQ(counters_.get(Counter::l4_no_backend), 2u);
}

TEST_F(Forward, TimeoutsFollowThePhase) {
  send("ip4 10.0.0.1 > 192.0.2.10 | tcp 1 > 80 S");
  now_ += 4_s;
  EXPECT_NE(send("ip4 10.0.0.1 > 192.0.2.10 | tcp 1 > 80 S"), "");
  now_ += 5_s;
  EXPECT_EQ(send("ip4 10.0.0.1 > 192.0.2.10 | tcp 1 > 80 A"), "no flow") << "5 s without an answer";
  EXPECT_EQ(counters_.get(Counter::l4_flows_expired), 1u);

  send("ip4 10.0.0.1 > 192.0.2.10 | tcp 2 > 80 S");
  send("ip4 10.1.0.5 > 192.0.2.1 | tcp 8080 > 30002 SA");
  send("ip4 10.0.0.1 > 192.0.2.10 | tcp 2 > 80 A");
  now_ += 899_s;
  EXPECT_NE(send("ip4 10.0.0.1 > 192.0.2.10 | tcp 2 > 80 A"), "no flow");
  send("ip4 10.0.0.1 > 192.0.2.10 | tcp 2 > 80 FA");
  now_ += 29_s;
  EXPECT_NE(send("ip4 10.1.0.5 > 192.0.2.1 | tcp 8080 > 30002 FA ack=1"), "no flow");
  now_ += 29_s;
  EXPECT_NE(send("ip4 10.0.0.1 > 192.0.2.10 | tcp 2 > 80 A seq=1"), "no flow") << "not of the other FIN";
  now_ += 25_s;
  sweep();
  EXPECT_EQ(forwarder_->flows().size(), 1u);
  EXPECT_NE(send("ip4 10.0.0.1 > 192.0.2.10 | tcp 2 > 80 A seq=1 ack=1"), "no flow");
  sweep();
  EXPECT_EQ(forwarder_->flows().size(), 1u);
  sweep();
  EXPECT_EQ(forwarder_->flows().size(), 0u) << "5 s after both FINs are acknowledged";
  EXPECT_EQ(stats_.service(1).flows_active.get(), 0u);
}

TEST_F(Forward, AResetThatEndsNothingLeavesTheFlow) {
  send("ip4 10.0.0.1 > 192.0.2.10 | tcp 1 > 80 S");
  send("ip4 10.1.0.5 > 192.0.2.1 | tcp 8080 > 30001 SA");
  send("ip4 10.1.0.5 > 192.0.2.1 | tcp 8080 > 30001 R seq=131072");  // an answer to a forged ACK
  now_ += 4_s;
  send("ip4 10.0.0.1 > 192.0.2.10 | tcp 1 > 80 A");
  now_ += 800_s;
  EXPECT_NE(send("ip4 10.0.0.1 > 192.0.2.10 | tcp 1 > 80 A"), "no flow");
  send("ip4 10.0.0.1 > 192.0.2.10 | tcp 1 > 80 R");
  now_ += 6_s;
  EXPECT_EQ(send("ip4 10.0.0.1 > 192.0.2.10 | tcp 1 > 80 A"), "no flow") << "nothing came behind it";
}

TEST_F(Forward, AClientMayUseItsPortAgainAfterTheEnd) {
  send("ip4 10.0.0.1 > 192.0.2.10 | tcp 1 > 80 S");
  send("ip4 10.1.0.5 > 192.0.2.1 | tcp 8080 > 30001 SA");
  send("ip4 10.0.0.1 > 192.0.2.10 | tcp 1 > 80 A");
  send("ip4 10.0.0.1 > 192.0.2.10 | tcp 1 > 80 R");
  EXPECT_EQ(send("ip4 10.0.0.1 > 192.0.2.10 | tcp 1 > 80 S seq=9"),
            "ip4 192.0.2.1 > 10.1.0.5 ttl=63 | tcp 30002 > 8080 S seq=9");
  EXPECT_EQ(forwarder_->flows().size(), 1u);
}

// A backend in TIME-WAIT answers by the ACK of the old connection, and the client by a reset, which frees the port
// (RFC 9293 3.10.7.3): the SYN that comes again must meet the port that it freed.
TEST_F(Forward, AnAttemptThatWasResetGoesOnByItsFlow) {
  send("ip4 10.0.0.1 > 192.0.2.10 | tcp 1 > 80 S seq=9");
  send("ip4 10.1.0.5 > 192.0.2.1 | tcp 8080 > 30001 A");
  EXPECT_EQ(send("ip4 10.0.0.1 > 192.0.2.10 | tcp 1 > 80 R"), "ip4 192.0.2.1 > 10.1.0.5 ttl=63 | tcp 30001 > 8080 R");
  now_ += 1_s;
  EXPECT_EQ(send("ip4 10.0.0.1 > 192.0.2.10 | tcp 1 > 80 S seq=9"),
            "ip4 192.0.2.1 > 10.1.0.5 ttl=63 | tcp 30001 > 8080 S seq=9");
  EXPECT_EQ(stats_.service(1).flows_active.get(), 1u);
  EXPECT_EQ(counters_.get(Counter::l4_flows_opened), 1u);
  sweep();
  EXPECT_EQ(forwarder_->flows().size(), 1u) << "an unanswered SYN lives 5 s";
  sweep();
  EXPECT_EQ(forwarder_->flows().size(), 0u);
}

TEST_F(Forward, AnAttemptThatWasResetGoesElsewhereWhenItsBackendDrains) {
  send("ip4 10.0.0.1 > 192.0.2.10 | tcp 1 > 80 S");
  send("ip4 10.0.0.1 > 192.0.2.10 | tcp 1 > 80 R");
  Backend drained = five;
  drained.weight = 0;
  services_ = services({drained, six}, 2);
  EXPECT_EQ(send("ip4 10.0.0.1 > 192.0.2.10 | tcp 1 > 80 S"), "ip4 192.0.2.1 > 10.1.0.6 ttl=63 | tcp 30001 > 8080 S");
}

TEST_F(Forward, FlowsStickThroughPoliciesAndDrain) {
  const std::string first = send("ip4 10.0.0.1 > 192.0.2.10 | udp 1 > 80");
  Backend drained = five;
  drained.weight = 0;
  services_ = services({drained, six}, 2);
  EXPECT_EQ(send("ip4 10.0.0.1 > 192.0.2.10 | udp 1 > 80"), first) << "weight 0 keeps what there is";
  for (int port = 2; port < 30; ++port)
    EXPECT_NE(send("ip4 10.0.0.1 > 192.0.2.10 | udp " + std::to_string(port) + " > 80").find("> 10.1.0.6"),
              std::string::npos);
  services_ = services({six}, 3);
  EXPECT_NE(send("ip4 10.0.0.1 > 192.0.2.10 | udp 1 > 80").find("> 10.1.0.6"), std::string::npos)
      << "a backend that is gone";
  EXPECT_EQ(counters_.get(Counter::l4_flows_revoked), 1u);
  services_ = *Services::compile({}, 4);
  sweep();
  EXPECT_EQ(forwarder_->flows().size(), 0u) << "without their service flows end, packets or not";
  EXPECT_EQ(stats_.endpoint(6).flows_active.get(), 0u);
}

TEST_F(Forward, AnEndpointThatMovedIsAnotherBackend) {
  send("ip4 10.0.0.1 > 192.0.2.10 | udp 1 > 80");
  services_ = services({{5, *parse_endpoint("10.1.0.77:8080"), 1}}, 2);
  EXPECT_NE(send("ip4 10.0.0.1 > 192.0.2.10 | udp 1 > 80").find("> 10.1.0.77"), std::string::npos);
}

TEST_F(Forward, PortsRunOutWithACount) {
  start({.flows = 100}, addresses({30000, 30003}));
  for (int port = 1; port <= 4; ++port)
    EXPECT_NE(send("ip4 10.0.0.1 > 192.0.2.10 | udp " + std::to_string(port) + " > 80"), "");
  EXPECT_EQ(send("ip4 10.0.0.1 > 192.0.2.10 | udp 5 > 80"), "");
  EXPECT_EQ(counters_.get(Counter::drop_snat_exhausted), 1u);
  EXPECT_EQ(stats_.service(2).refused.get(), 1u);
  now_ += 30_s;
  EXPECT_NE(send("ip4 10.0.0.1 > 192.0.2.10 | udp 5 > 80"), "") << "a port whose flow timed out is used again";
}

TEST_F(Forward, AFloodEvictsOnlyTheUnanswered) {
  start({.flows = 8}, addresses());
  for (int port = 1; port <= 4; ++port) {
    send("ip4 10.0.0.1 > 192.0.2.10 | udp " + std::to_string(port) + " > 80");
    send("ip4 10.1.0.5 > 192.0.2.1 | udp 8080 > " + std::to_string(30000 + port));
  }
  for (int port = 100; port < 200; ++port)
    EXPECT_NE(send("ip4 10.0.0.2 > 192.0.2.10 | tcp " + std::to_string(port) + " > 80 S"), "");
  EXPECT_EQ(counters_.get(Counter::l4_flows_evicted), 96u);
  for (int port = 1; port <= 4; ++port)
    EXPECT_EQ(send("ip4 10.0.0.1 > 192.0.2.10 | udp " + std::to_string(port) + " > 80"),
              "ip4 192.0.2.1 > 10.1.0.5 ttl=63 | udp " + std::to_string(30000 + port) + " > 8080");
  for (int port = 5; port <= 8; ++port) { send("ip4 10.0.0.1 > 192.0.2.10 | udp " + std::to_string(port) + " > 80"); }
  EXPECT_EQ(forwarder_->flows().size(), 8u);
}

TEST_F(Forward, AFullTableOfAnsweredFlowsRefuses) {
  start({.flows = 2}, addresses());
  for (int port = 1; port <= 2; ++port) {
    send("ip4 10.0.0.1 > 192.0.2.10 | udp " + std::to_string(port) + " > 80");
    send("ip4 10.1.0.5 > 192.0.2.1 | udp 8080 > " + std::to_string(30000 + port));
  }
  EXPECT_EQ(send("ip4 10.0.0.1 > 192.0.2.10 | udp 3 > 80"), "");
  EXPECT_EQ(counters_.get(Counter::drop_flow_table_full), 1u);
  EXPECT_NE(Forwarder::choose(services_.all()[0], flow_key(packets_.ip("ip4 10.0.0.1 > 192.0.2.10 | tcp 3 > 80 S"))),
            nullptr);
}

TEST_F(Forward, ErrorsAboutAFlowPassBothWays) {
  send("ip4 10.0.0.1 > 192.0.2.10 | udp 1 > 80");
  EXPECT_EQ(send("ip4 10.1.0.5 > 192.0.2.1 | icmp 3 3 | ip4 192.0.2.1 > 10.1.0.5 ttl=63 | udp 30001 > 8080"),
            "ip4 192.0.2.10 > 10.0.0.1 ttl=63 | icmp 3 3 | ip4 10.0.0.1 > 192.0.2.10 ttl=63 | udp 1 > 80");
  EXPECT_EQ(send("ip4 10.0.0.1 > 192.0.2.10 | icmp 3 3 | ip4 192.0.2.10 > 10.0.0.1 ttl=63 | udp 80 > 1"),
            "ip4 192.0.2.1 > 10.1.0.5 ttl=63 | icmp 3 3 | ip4 10.1.0.5 > 192.0.2.1 ttl=63 | udp 8080 > 30001");
  EXPECT_EQ(send("ip4 10.1.0.5 > 192.0.2.1 | icmp 3 3 | ip4 192.0.2.1 > 10.1.0.5 | udp 30002 > 8080"), "");
  EXPECT_EQ(counters_.get(Counter::drop_no_flow), 1u);
}

TEST_F(Forward, WorkersTakePortsOfTheirOwn) {
  start({.worker = 1, .workers = 2, .flows = 100}, addresses());
  for (int port = 1; port <= 5; ++port)
    EXPECT_EQ(send("ip4 10.0.0.1 > 192.0.2.10 | udp " + std::to_string(port) + " > 80"),
              "ip4 192.0.2.1 > 10.1.0.5 ttl=63 | udp " + std::to_string(30001 + 2 * port) + " > 8080");
}

}  // namespace
}  // namespace sluice
