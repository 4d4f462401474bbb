#include "l4/nat.h"

#include <set>

#include "tests/unit/l4/text_packets.h"

namespace sluice {
namespace {

using test::TextPackets;

FlowEnds ends(const char* client, const char* vip, const char* local, const char* backend, Protocol protocol) {
  const Endpoint c = *parse_endpoint(client), v = *parse_endpoint(vip), l = *parse_endpoint(local),
                 b = *parse_endpoint(backend);
  return {c.address, v.address, b.address, l.address, c.port, v.port, b.port, l.port, 1, 1, protocol, {}, 0};
}

class Nat : public testing::Test {
 protected:
  std::string there(std::string_view text, const FlowEnds& e) { return translated(text, e, Direction::from_client); }
  std::string back(std::string_view text, const FlowEnds& e) { return translated(text, e, Direction::from_backend); }

  // text_of() names every checksum and length that is not what it should be.
  std::string translated(std::string_view text, const FlowEnds& e, Direction direction) {
    Packet packet = packets_.ip(text);
    Flow flow{};
    flow.ends = e;
    translate(packet, flow, direction);
    return TextPackets::ip_text(packet);
  }
  TextPackets packets_;
};

TEST_F(Nat, TcpOverIpv4) {
  const auto e = ends("10.0.0.1:1234", "192.0.2.10:80", "192.0.2.1:32768", "10.1.0.5:8080", Protocol::tcp);
  EXPECT_EQ(there("ip4 10.0.0.1 > 192.0.2.10 id=7 df | tcp 1234 > 80 PA seq=5 ack=6 window=100 | text hello", e),
            "ip4 192.0.2.1 > 10.1.0.5 ttl=63 id=7 df | tcp 32768 > 8080 PA seq=5 ack=6 window=100 | text hello");
  EXPECT_EQ(back("ip4 10.1.0.5 > 192.0.2.1 ttl=2 tos=4 | tcp 8080 > 32768 SA options=020405b4", e),
            "ip4 192.0.2.10 > 10.0.0.1 ttl=1 tos=4 | tcp 80 > 1234 SA options=020405b4");
}

TEST_F(Nat, TcpAndUdpOverIpv6) {
  const auto e =
      ends("[2001:db8::1]:1234", "[2001:db8::10]:80", "[2001:db8::99]:40000", "[fd00::5]:8080", Protocol::tcp);
  EXPECT_EQ(there("ip6 2001:db8::1 > 2001:db8::10 flow=9 class=3 | tcp 1234 > 80 S", e),
            "ip6 2001:db8::99 > fd00::5 hops=63 class=3 flow=9 | tcp 40000 > 8080 S");
  EXPECT_EQ(back("ip6 fd00::5 > 2001:db8::99 hops=3 | udp 8080 > 40000 | text odd", e),
            "ip6 2001:db8::10 > 2001:db8::1 hops=2 | udp 80 > 1234 | text odd");
}

TEST_F(Nat, UdpWithoutChecksumStaysWithout) {
  const auto e = ends("10.0.0.1:1234", "192.0.2.10:53", "192.0.2.1:32768", "10.1.0.5:53", Protocol::udp);
  EXPECT_EQ(there("ip4 10.0.0.1 > 192.0.2.10 | udp 1234 > 53 sum=none | text q", e),
            "ip4 192.0.2.1 > 10.1.0.5 ttl=63 | udp 32768 > 53 sum=none | text q");
}

// RFC 768: a sum of zero is sent as ffff; RFC 1624 is about the arithmetic that gets there. Every port gives another
// sum.
TEST_F(Nat, ChecksumsAreRightForEveryValue) {
  for (unsigned port = 0; port < 65536; port += 97) {
    auto e = ends("10.0.0.1:1234", "192.0.2.10:53", "192.0.2.1:1", "10.1.0.5:53", Protocol::udp);
    e.local_port = static_cast<std::uint16_t>(port);
    const std::string out = there("ip4 10.0.0.1 > 192.0.2.10 | udp 1234 > 53 | hex 0001", e);
    ASSERT_EQ(out, "ip4 192.0.2.1 > 10.1.0.5 ttl=63 | udp " + std::to_string(port) + " > 53 | hex 0001");
  }
}

TEST_F(Nat, UdpNeverMakesAZeroChecksum) {
  unsigned ones = 0;
  for (unsigned port = 0; port < 65536; ++port) {
    Packet packet = packets_.ip("ip4 10.0.0.1 > 192.0.2.10 | udp 1234 > 53 | hex 0001");
    Flow flow{};
    flow.ends = ends("10.0.0.1:1234", "192.0.2.10:53", "192.0.2.1:1", "10.1.0.5:53", Protocol::udp);
    flow.ends.local_port = static_cast<std::uint16_t>(port);
    translate(packet, flow, Direction::from_client);
    const std::uint8_t* sum = packet.data() + packet.meta().l4_offset + 6;
    ASSERT_FALSE(sum[0] == 0 && sum[1] == 0) << port;
    ones += sum[0] == 0xff && sum[1] == 0xff;
  }
  EXPECT_GE(ones, 1u) << "some port makes the sum zero, which is written as ffff";
}

TEST_F(Nat, IcmpErrorsAreTranslatedInsideAndOut) {
  const auto e = ends("10.0.0.1:1234", "192.0.2.10:80", "192.0.2.1:32768", "10.1.0.5:8080", Protocol::tcp);
  Packet packet = packets_.ip(
      "ip4 10.1.9.9 > 192.0.2.1 | icmp 3 4 rest=000004b0 | ip4 192.0.2.1 > 10.1.0.5 ttl=60 df | tcp 32768 > 8080 A "
      "seq=77 | text abc");
  const auto inner = icmp_inner(packet);
  ASSERT_TRUE(inner);
  Flow flow{};
  flow.ends = e;
  EXPECT_EQ(inner->key.reversed(), e.key(Direction::from_backend));
  translate_error(packet, flow, Direction::from_backend, *inner);
  EXPECT_EQ(TextPackets::ip_text(packet),
            "ip4 192.0.2.10 > 10.0.0.1 ttl=63 | icmp 3 4 rest=000004b0 | ip4 10.0.0.1 > 192.0.2.10 ttl=60 df | tcp "
            "1234 > 80 A seq=77 | text abc");

  const auto six =
      ends("[2001:db8::1]:1234", "[2001:db8::10]:53", "[2001:db8::99]:40000", "[fd00::5]:53", Protocol::udp);
  Packet packet6 = packets_.ip(
      "ip6 2001:db8::7 > 2001:db8::10 | icmp6 1 4 | ip6 2001:db8::10 > 2001:db8::1 | udp 53 > 1234 | text abcd");
  const auto inner6 = icmp_inner(packet6);
  ASSERT_TRUE(inner6);
  flow.ends = six;
  EXPECT_EQ(inner6->key.reversed(), six.key(Direction::from_client));
  translate_error(packet6, flow, Direction::from_client, *inner6);
  EXPECT_EQ(TextPackets::ip_text(packet6),
            "ip6 2001:db8::99 > fd00::5 hops=63 | icmp6 1 4 | ip6 fd00::5 > 2001:db8::99 | udp 53 > 40000 | text abcd");
}

// Ports are unique towards a backend while flows live, come from this worker's share, and are shared between backends.
TEST(SnatPorts, EveryPortOnceABackend) {
  const LocalRange ranges[] = {{*parse_ip("192.0.2.1"), {1000, 1019}, LocalUse::snat},
                               {*parse_ip("192.0.2.2"), {2000, 2009}, LocalUse::snat},
                               {*parse_ip("192.0.2.2"), {3000, 3009}, LocalUse::upstream}};
  const auto local = *LocalAddresses::compile({}, ranges);
  SnatPorts ports{local, 1, 2};
  EXPECT_EQ(ports.size(true), 15u);
  EXPECT_EQ(ports.size(false), 0u);
  FlowTable flows{100, {}};
  const auto none = [](const Flow&) { FAIL() << "nothing has expired"; };
  for (const char* backend : {"10.1.0.5:80", "10.1.0.6:80"}) {
    std::set<Endpoint> given;
    for (unsigned i = 0; i < 15; ++i) {
      FlowEnds e = ends("10.0.0.1:1", "192.0.2.10:80", "0.0.0.0:0", backend, Protocol::tcp);
      e.client_port = static_cast<std::uint16_t>(i + 1);
      ASSERT_TRUE(ports.assign(e, flows, 0, none));
      EXPECT_EQ(owner_of_port(e.local_port, 2), 1);
      EXPECT_EQ(local.find(e.local, e.local_port), LocalUse::snat);
      EXPECT_TRUE(given.insert({e.local, e.local_port}).second);
      if (e.backend == *parse_ip("10.1.0.6")) e.client_port = static_cast<std::uint16_t>(e.client_port + 100);
      ASSERT_TRUE(flows.insert(e, 0, 1000, FlowPhase::tcp_syn));
    }
    FlowEnds e = ends("10.0.0.1:999", "192.0.2.10:80", "0.0.0.0:0", backend, Protocol::tcp);
    EXPECT_FALSE(ports.assign(e, flows, 0, none)) << "all ports are taken";
    EXPECT_FALSE(ports.assign(e, flows, 999, none));
  }
  // Past their timeout, flows give their ports back at once.
  FlowEnds e = ends("10.0.0.1:999", "192.0.2.10:80", "0.0.0.0:0", "10.1.0.5:80", Protocol::tcp);
  unsigned released = 0;
  EXPECT_TRUE(ports.assign(e, flows, 1000, [&](const Flow&) { ++released; }));
  EXPECT_EQ(released, 1u);
  EXPECT_FALSE(flows.find(e.key(Direction::from_backend)));
}

// Another process begins elsewhere in the pool, round it all the same.
TEST(SnatPorts, BeginWhereTold) {
  const LocalRange ranges[] = {{*parse_ip("192.0.2.1"), {1000, 1003}, LocalUse::snat}};
  const auto local = *LocalAddresses::compile({}, ranges);
  FlowTable flows{100, {}};
  const auto none = [](const Flow&) { FAIL() << "nothing has expired"; };
  for (const auto& [first, wanted] :
       {std::pair{0u, 1001}, std::pair{2u, 1003}, std::pair{3u, 1000}, std::pair{65534u, 1003}}) {
    SnatPorts ports{local, 0, 1, first};
    for (int i = 0; i < 5; ++i) {
      FlowEnds e = ends("10.0.0.1:1", "192.0.2.10:80", "0.0.0.0:0", "10.1.0.5:80", Protocol::tcp);
      ASSERT_TRUE(ports.assign(e, flows, 0, none));
      EXPECT_EQ(e.local_port, 1000 + (wanted - 1000 + i) % 4) << first;
    }
  }
}

}  // namespace
}  // namespace sluice
