#include "dataplane/net/host.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/unit/dataplane/net/host_fixture.h"

namespace sluice {
namespace {

// -- ARP

TEST_F(HostTest, AnswersArpForItsAddressAndKnowsTheAsker) {
  input(frame(frames::arp_request));
  EXPECT_EQ(sent(), frame(frames::arp_answer));
  // It answers without asking back: the asker is known.
  NextHop hop;
  host->send(datagram("192.0.2.1", "192.0.2.2"), hop, 1_s);
  const auto out = sent();
  ASSERT_TRUE(out);
  EXPECT_TRUE(std::equal(peer_mac.bytes.begin(), peer_mac.bytes.end(), out->begin()));
  EXPECT_EQ((*out)[12] << 8 | (*out)[13], 0x0806) << "stale: it is probed first, by unicast";
  EXPECT_EQ((*sent())[13], 0x00);
}

TEST_F(HostTest, AnswersArpForServicesButNotForOthers) {
  Frame request = frame(frames::arp_request);
  request[41] = 77;
  input(request);
  EXPECT_FALSE(sent());
  const AddressSet services{{*parse_prefix("192.0.2.77/32")}};
  limits.announces = false;
  start(no_port, {});
  host->set_services(&services);
  input(request);
  const auto answer = sent();
  ASSERT_TRUE(answer);
  EXPECT_EQ((*answer)[31], 77) << "it speaks for the service's address";
}

TEST_F(HostTest, ResolvesByArpAndSendsWhatWaited) {
  NextHop hop;
  for (int i = 0; i < 3; ++i) host->send(datagram("192.0.2.1", "192.0.2.2"), hop, 0_s);
  EXPECT_EQ(sent(), frame(frames::arp_query));
  EXPECT_FALSE(sent()) << "one request, however many wait";
  input(frame(frames::arp_reply), 1_ms);
  EXPECT_EQ(sent_count(), 3u);
  host->send(datagram("192.0.2.1", "192.0.2.2"), hop, 2_ms);
  const auto out = sent();
  ASSERT_TRUE(out);
  EXPECT_TRUE(std::equal(peer_mac.bytes.begin(), peer_mac.bytes.end(), out->begin()));
  EXPECT_TRUE(std::equal(our_mac.bytes.begin(), our_mac.bytes.end(), out->begin() + 6));
  EXPECT_EQ(counters.get(Counter::neighbours_resolved), 1u);
}

TEST_F(HostTest, LearnsNothingFromWhoSpeaksForUs) {
  Frame forged = frame(frames::arp_reply);
  forged[31] = 1;  // the sender says that it is 192.0.2.1
  input(forged);
  EXPECT_EQ(counters.get(Counter::address_conflicts), 1u);
  EXPECT_EQ(host->neighbours().size(), 0u);
  EXPECT_TRUE(host->take_news().empty());
}

TEST_F(HostTest, UnaskedRepliesAndStrangersMakeNoNeighbour) {
  input(frame(frames::arp_reply));
  Frame off_link = frame(frames::arp_request);
  off_link[28] = 10;  // 10.0.2.2 asks for 192.0.2.1
  input(off_link);
  EXPECT_EQ(host->neighbours().size(), 0u);
  EXPECT_EQ(sent_count(), 1u) << "it is answered all the same";
}

TEST_F(HostTest, NewsOfOneWorkerResolvesForAnother) {
  Host other{*routes, queues, buffers, counters, limits};
  NextHop hop;
  other.send(datagram("192.0.2.1", "192.0.2.2"), hop, 0_s);
  EXPECT_EQ(sent(), frame(frames::arp_query));
  input(frame(frames::arp_reply));  // at the first worker, which did not ask
  const auto news = host->take_news();
  ASSERT_EQ(news.size(), 1u);
  other.learn(news[0], 1_ms);
  EXPECT_EQ(sent_count(), 1u) << "what waited there goes out";
  EXPECT_TRUE(host->take_news().empty());
}

// -- neighbour discovery

TEST_F(HostTest, AnswersSolicitations) {
  input(frame(frames::solicitation));
  EXPECT_EQ(sent(), frame(frames::advertisement_answer));
  EXPECT_TRUE(host->neighbours().find(0, ip("2001:db8::2")));
  input(frame(frames::solicitation_dad));
  EXPECT_EQ(sent(), frame(frames::advertisement_to_all));
}

TEST_F(HostTest, ResolvesByNeighbourDiscovery) {
  NextHop hop;
  host->send(datagram("2001:db8::1", "2001:db8::2"), hop, 0_s);
  EXPECT_EQ(sent(), frame(frames::solicitation_query));
  input(frame(frames::advertisement), 1_ms);
  const auto out = sent();
  ASSERT_TRUE(out);
  EXPECT_TRUE(std::equal(peer_mac.bytes.begin(), peer_mac.bytes.end(), out->begin()));
  EXPECT_EQ(host->neighbours().find(0, ip("2001:db8::2"))->state, Neighbours::State::reachable);
}

// RFC 4861 7.1.1, 7.1.2: each check, with the checksum right.
TEST_F(HostTest, RefusesWhatNeighbourDiscoveryForbids) {
  const Frame ns = frame(frames::solicitation), na = frame(frames::advertisement),
              dad = frame(frames::solicitation_dad);
  unsigned invalid = 0;
  const auto refused = [&](const Frame& bad, const char* why) {
    input(bad);
    EXPECT_EQ(counters.get(Counter::drop_nd_invalid), ++invalid) << why;
    EXPECT_FALSE(sent()) << why;
    EXPECT_EQ(host->neighbours().size(), 0u) << why;
  };
  Frame hops = ns;
  hops[21] = 254;  // not in the pseudo header
  refused(hops, "from off the link");
  hops = na;
  hops[21] = 64;
  refused(hops, "from off the link");
  refused(patched(ns, 55, 1), "code is not 0");
  refused(patched(na, 55, 1), "code is not 0");
  refused(patched(ns, 62, 0xff), "target is multicast");
  refused(patched(na, 62, 0xff), "target is multicast");
  refused(patched(ns, 79, 0), "option of length 0");
  refused(patched(na, 79, 0), "option of length 0");
  refused(patched(ns, 79, 2), "option beyond the end");
  refused(patched(dad, 38, 0xfe), "no source, and not to a solicited-node address");
  Frame many = patched(na, 38, 0xff);  // destination ff01:...: multicast, and solicited
  refused(many, "solicited and to many");
}

TEST_F(HostTest, SolicitationsOfOthersAreNotAnswered) {
  input(patched(frame(frames::solicitation), 77, 3));
  EXPECT_FALSE(sent());
  EXPECT_EQ(host->neighbours().size(), 0u);
}

// -- ICMP

TEST_F(HostTest, AnswersEcho) {
  input(frame(frames::arp_request));
  input(frame(frames::solicitation));
  sent_count();
  tick(0_s, 1_ms);
  input(frame(frames::ping4));
  std::optional<Frame> out = sent();
  if (out && (*out)[13] == 0x06) out = sent();  // the stale neighbour is probed
  EXPECT_EQ(out, frame(frames::pong4)) << "without the options";
  input(frame(frames::ping6));
  out = sent();
  if (out && (*out)[54] == 135) out = sent();
  EXPECT_EQ(out, frame(frames::pong6));
  EXPECT_EQ(counters.get(Counter::icmp_echo_replies), 2u);
}

TEST_F(HostTest, EchoIsAnsweredUnderARateAndNeverToMany) {
  limits.icmp_echoes_burst = 3;
  limits.icmp_echoes_per_second = 1;
  start(no_port, {});
  for (int i = 0; i < 10; ++i) input(frame(frames::ping4), 1_s);
  EXPECT_EQ(counters.get(Counter::drop_icmp_rate), 7u);
  Frame to_others = frame(frames::echo4);
  input(to_others, 2_s);
  EXPECT_EQ(counters.get(Counter::drop_no_exception_port), 1u);
}

TEST_F(HostTest, RefusesInTheWordsOfTheRfcs) {
  input(frame(frames::arp_request));
  input(frame(frames::solicitation));
  sent_count();
  host->refuse(received(frame(frames::refused4)), IcmpError::port_unreachable, 0, 0_s);
  std::optional<Frame> out = sent();
  if (out && (*out)[13] == 0x06) out = sent();
  EXPECT_EQ(out, frame(frames::unreachable4));
  host->refuse(received(frame(frames::refused6)), IcmpError::too_big, 1400, 0_s);
  out = sent();
  if (out && (*out)[54] == 135) out = sent();
  EXPECT_EQ(out, frame(frames::too_big6));
  // RFC 1122 3.2.2: never about an error, a later fragment, or what was sent to many.
  host->refuse(received(frame(frames::unreachable4)), IcmpError::time_exceeded, 0, 0_s);
  host->refuse(received(frame(frames::later_fragment4)), IcmpError::time_exceeded, 0, 0_s);
  Frame broadcast = frame(frames::refused4);
  std::fill_n(broadcast.begin(), 6, 0xff);
  host->refuse(received(broadcast), IcmpError::port_unreachable, 0, 0_s);
  EXPECT_EQ(counters.get(Counter::drop_unanswerable), 3u);
  EXPECT_EQ(counters.get(Counter::icmp_errors_sent), 2u);
  EXPECT_FALSE(sent());
}

TEST_F(HostTest, ErrorsAreFewAndShort) {
  limits.icmp_errors_burst = 4;
  limits.icmp_errors_per_second = 1;
  start(no_port, {});
  host->learn({.address = ip("192.0.2.2"), .mac = peer_mac, .interface = 0, .kind = NeighbourNews::Kind::request}, 0_s);
  for (int i = 0; i < 10; ++i) {
    Packet large = buffers.make();
    large.get()->data_len = large.get()->pkt_len = 1400;
    prepend_udp(large, {ip("192.0.2.2"), ip("192.0.2.1")}, 1, 2);
    prepend_ethernet(large, our_mac, peer_mac, 0, wire::EtherType::ip4);
    large.meta().port = 0;
    ASSERT_TRUE(parse(large, false, counters));
    host->refuse(std::move(large), IcmpError::port_unreachable, 0, 1_s);
  }
  EXPECT_EQ(counters.get(Counter::drop_icmp_rate), 6u);
  std::size_t errors = 0;
  while (auto out = sent()) {
    if ((*out)[13] == 0x06) continue;
    ++errors;
    EXPECT_EQ(out->size(), 14 + 576u);  // RFC 1812 4.3.2.3
  }
  EXPECT_EQ(errors, 4u);
}

// -- routes

TEST_F(HostTest, SendsThroughTheGateway) {
  start(no_port, {{*parse_prefix("0.0.0.0/0"), ip("192.0.2.2")}});
  tick(0_s, 50_ms);
  EXPECT_EQ(sent(), frame(frames::arp_query)) << "asked for before anybody needs it";
  input(frame(frames::arp_reply));
  NextHop hop;
  host->send(datagram("192.0.2.1", "198.51.100.7"), hop, 0_s);
  const auto out = sent();
  ASSERT_TRUE(out);
  EXPECT_TRUE(std::equal(peer_mac.bytes.begin(), peer_mac.bytes.end(), out->begin()));
  EXPECT_EQ(hop.mtu, 1500);
  EXPECT_EQ(host->source(hop, ip("198.51.100.7")), ip("192.0.2.1"));
}

TEST_F(HostTest, NoRouteIsADropAndNewRoutesAreSeen) {
  NextHop hop;
  host->send(datagram("192.0.2.1", "198.51.100.7"), hop, 0_s);
  EXPECT_EQ(counters.get(Counter::drop_no_route), 1u);
  EXPECT_FALSE(host->route(ip("198.51.100.7")));
  const auto wider =
      Routes::compile({{.port = 0, .mac = our_mac, .addresses = {*parse_prefix("198.51.100.1/24")}}}, {});
  host->set_routes(*wider);
  host->send(datagram("198.51.100.1", "198.51.100.7"), hop, 0_s);
  EXPECT_EQ(counters.get(Counter::drop_no_route), 1u);
  EXPECT_TRUE(hop);
}

TEST_F(HostTest, AScanLeavesTheLivingAlone) {
  input(frame(frames::arp_request));
  input(frame(frames::arp_reply));
  sent_count();
  NextHop living;
  const auto before = counters.get(Counter::arp_requests_sent);
  for (std::uint32_t n = 3; n < 254; ++n) {
    NextHop hop;
    const AddressText to = to_text(IpAddress::from_v4((192u << 24 | 2u << 8) + n));
    host->send(datagram("192.0.2.1", to), hop, 1_s);
    host->send(datagram("192.0.2.1", "192.0.2.2"), living, 1_s);
  }
  EXPECT_EQ(counters.get(Counter::arp_requests_sent) - before, limits.neighbours.resolutions_burst);
  std::size_t through = 0;
  while (auto out = sent()) through += (*out)[13] == 0x00;
  EXPECT_EQ(through, 251u);
}

// -- announcements and the exception port

TEST_F(HostTest, AnnouncesEveryAddressTwice) {
  const AddressSet services{
      {*parse_prefix("192.0.2.77/32"), *parse_prefix("2001:db8::77/128"), *parse_prefix("10.0.0.0/8")}};
  host->set_services(&services);
  tick(0_s, 3_s);
  std::map<Frame, int> seen;
  while (auto out = sent()) {
    EXPECT_TRUE((*out)[0] & 1) << "to many";
    if ((*out)[13] == 0x06) {
      EXPECT_TRUE(std::equal(out->begin() + 28, out->begin() + 32, out->begin() + 38)) << "RFC 5227 2.3";
      ++seen[Frame(out->begin() + 28, out->begin() + 32)];
    } else {
      ASSERT_EQ((*out)[54], 136);
      EXPECT_EQ((*out)[58] & 0x60, 0x20) << "override, not solicited";
      ++seen[Frame(out->begin() + 62, out->begin() + 78)];
    }
  }
  ASSERT_EQ(seen.size(), 5u) << "two addresses, the link-local one and two services that are on the link";
  for (const auto& [address, times] : seen) EXPECT_EQ(times, 2);
  host->set_services(&services);
  tick(3_s, 6_s);
  EXPECT_FALSE(sent()) << "nothing new";
}

// A worker may have passed a quiescent state since it was given the last set.
TEST_F(HostTest, ServicesThatAreGoneAreNotReadAgain) {
  const auto set = [](const char* prefix) { return std::make_unique<AddressSet>(std::vector{*parse_prefix(prefix)}); };
  auto before = set("192.0.2.77/32");
  host->set_services(before.get());
  tick(0_s, 3_s);
  while (sent()) {}
  before.reset();  // from here on ASan sees who reads it
  const auto same = set("192.0.2.77/32"), other = set("192.0.2.78/32");
  host->set_services(same.get());
  tick(3_s, 6_s);
  EXPECT_FALSE(sent()) << "nothing new";
  host->set_services(other.get());
  tick(6_s, 9_s);
  EXPECT_TRUE(sent());
}

TEST_F(HostTest, FramesCrossToTheKernelAndBackUnchanged) {
  start(1, {});
  const Frame ssh = frame(frames::tcp4), gre = frame(frames::gre4);
  host->to_exception(received(ssh), 0_s);
  EXPECT_EQ(sent(kernel), ssh);
  input(gre);
  EXPECT_EQ(sent(kernel), gre);
  EXPECT_TRUE(host->is_exception_port(1));
  EXPECT_FALSE(host->is_exception_port(0));
  host->from_exception(received(ssh, 1), 0_s);
  EXPECT_EQ(sent(), ssh);
}

TEST_F(HostTest, TheKernelHearsRepliesButNotWhatWeAnswer) {
  start(1, {});
  input(frame(frames::arp_request));
  EXPECT_EQ(sent(), frame(frames::arp_answer));
  EXPECT_FALSE(sent(kernel)) << "it would answer a second time";
  input(frame(frames::arp_reply));
  EXPECT_EQ(sent(kernel), frame(frames::arp_reply));
  input(frame(frames::advertisement));
  EXPECT_EQ(sent(kernel), frame(frames::advertisement));
  input(frame(frames::ping4));
  EXPECT_FALSE(sent(kernel));
}

TEST_F(HostTest, KnowsFramesForOtherStations) {
  Frame mine = frame(frames::tcp4), other = mine;
  other[5] = 9;
  EXPECT_EQ(host->not_ours(received(mine)), std::nullopt);
  EXPECT_EQ(host->not_ours(received(other)), Counter::drop_not_addressed);
  EXPECT_EQ(host->not_ours(received(frame(frames::arp_request))), std::nullopt);
  input(frame(frames::vlan_udp4));
  EXPECT_EQ(counters.get(Counter::drop_no_interface), 1u) << "VLAN 100 is no interface of ours";
}

}  // namespace
}  // namespace sluice
