// proxied.h - a node whole between a client and a server: one TCP stack plays both, the wire is frames, time is
// virtual.
#pragma once

#include <gtest/gtest.h>

#include <list>
#include <string>

#include "tests/support/node.h"
#include "tests/support/tcp_wire.h"

namespace sluice::test {

// One end of a connection, the client's or the server's.
struct Talk {
  tcp::ConnId id;
  std::string got;
  bool connected = false, finished = false, reset = false;
  bool reads = true;  // false: what comes stays with TCP, the window shuts
};

class Proxied : public testing::Test {
 protected:
  static constexpr unsigned data_count = 8191, slice_count = 4095;
  Buffers buffers{"proxied", data_count, slice_count, 0, -1};
  Nanos now{1'000'000'000};
  NodeListener listener{.rule = {.id = 1, .destination = *parse_prefix("192.0.2.80/32"), .ports = {80, 80}},
                        .to = parse_endpoint("192.0.2.5:8080")};
  std::uint32_t held_buffers_max = 0;  // of the node; 0: the default
  std::unique_ptr<Node> node;
  std::unique_ptr<tcp::Stack> peers;
  std::list<Talk> clients, servers;

  void TearDown() override {
    node.reset();
    peers.reset();
    EXPECT_EQ(buffers.data_free(), data_count) << "a buffer is lost";
    EXPECT_EQ(buffers.slices_free(), slice_count) << "a descriptor is lost";
  }

  void start() {
    NodePolicy policy;
    policy.ports = {node_mac};
    policy.interfaces = {{.port = 0, .mac = node_mac, .addresses = {*parse_prefix("192.0.2.1/24")}}};
    policy.local = {{*parse_ip("192.0.2.1"), {20000, 29999}, LocalUse::upstream}};
    policy.listeners = {listener};
    policy.held_buffers_max = held_buffers_max;
    node = std::move(*Node::make(policy, buffers));
    tcp::Config config{.connections = 64, .handshakes = 64, .time_waits = 64, .transmit_records = 1024};
    config.held_buffers_max = 2048;
    config.receive_limit = 64 * 1024;
    config.secret[0] = 7;
    config.sources[config.source_count++] = {*parse_ip("192.0.2.9"), 30000, 39999};
    peers = std::make_unique<tcp::Stack>(config, buffers, counters_, now);
    peers->set_listeners(tcp::ListenerView{&server_});
  }

  Talk& connect() {
    if (!node) start();
    const auto id = peers->connect({.remote = *parse_endpoint("192.0.2.80:80")}, now);
    CHECK(id.has_value());
    clients.push_back({.id = *id});
    run();
    return clients.back();
  }
  void say(Talk& talk, std::string_view text) {
    Chain out;
    CHECK(out.append_bytes({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, buffers));
    peers->send(talk.id, std::move(out));
    run();
  }
  // The client's word, and what it got until everything was quiet.
  std::string ask(Talk& client, std::string_view text) {
    client.got.clear();
    say(client, text);
    return client.got;
  }
  // What the server was last asked, its answer sent.
  std::string answer(Talk& server, std::string_view text) {
    std::string asked = std::move(server.got);
    server.got.clear();
    say(server, text);
    return asked;
  }
  void run(int ms = 60) {
    for (; ms > 0; --ms) step();
  }
  std::uint64_t count(Counter counter) const { return node->count(counter); }

 private:
  struct Server {
    std::optional<tcp::ListenerId> find(const IpAddress& destination, std::uint16_t port, PortId) const {
      if (destination != *parse_ip("192.0.2.5") || port != 8080) return {};
      return 5;
    }
  };

  void step() {
    now += Nanos{1'000'000};
    peers->expire(now);
    peers->output(egress_, now);
    for (; sent_ < egress_.sent.size(); ++sent_) {
      Frame frame(14);
      std::copy_n(node_mac.bytes.begin(), 6, frame.begin());
      std::copy_n(peer_mac.bytes.begin(), 6, frame.begin() + 6);
      frame[12] = 8;
      frame.insert(frame.end(), egress_.sent[sent_].begin(), egress_.sent[sent_].end());
      node->inject(0, frame);
    }
    node->turn(now);
    for (const auto& [port, frame] : node->collect()) deliver(frame);
    act();
  }
  void deliver(const Frame& sent) {
    const std::string text = text_of(sent);
    // Whoever is asked for by ARP on this net answers, but for 192.0.2.77, which is nobody's.
    if (text.find("arp request") != text.npos) {
      const std::string_view target = std::string_view{text}.substr(text.rfind(' ') + 1);
      if (target == "192.0.2.77") return;
      node->inject(0, frame("eth 02:00:00:00:00:09 > 02:00:00:00:00:02 | arp reply 02:00:00:00:00:09 " +
                            std::string{target} + " > 02:00:00:00:00:02 192.0.2.1"));
    } else if (text.find(" | ip4 ") != text.npos) {
      const std::size_t size = static_cast<std::size_t>(sent[16] << 8 | sent[17]);
      if (Packet packet = arrive(Bytes(sent.begin() + 14, sent.begin() + 14 + static_cast<std::ptrdiff_t>(size)),
                                 buffers, counters_))
        peers->input(std::move(packet), now);
    }
  }
  void act() {
    for (auto events = peers->take_events(); !events.empty(); events = peers->take_events())
      for (const tcp::Event& event : events) {
        if (event.bits & tcp::event_accepted) servers.push_back({.id = event.id, .connected = true});
        for (auto* side : {&clients, &servers})
          for (Talk& talk : *side)
            if (talk.id == event.id) {
              talk.connected |= (event.bits & tcp::event_connected) != 0;
              talk.finished |= (event.bits & tcp::event_finished) != 0;
              talk.reset |= (event.bits & (tcp::event_reset | tcp::event_timed_out)) != 0;
            }
      }
    for (auto* side : {&clients, &servers})
      for (Talk& talk : *side) {
        Chain in;
        if (talk.reads) peers->receive(talk.id, in);
        if (in.empty()) continue;
        std::string bytes(in.size(), 0);
        in.peek(0, {reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()});
        talk.got += bytes;
        const std::uint32_t size = in.size();
        in.clear();
        peers->consumed(talk.id, size, now);
      }
  }

  static constexpr MacAddress node_mac{{2, 0, 0, 0, 0, 2}}, peer_mac{{2, 0, 0, 0, 0, 9}};
  const Server server_{};
  Counters counters_;
  WireEgress egress_;
  std::size_t sent_ = 0;
};

}  // namespace sluice::test
