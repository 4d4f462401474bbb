// peer.h - a host on the other end of a cable: our own Host and TCP stack over a MemoryPort, and byte streams as
// strings for the models of clients and backends on top.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "dataplane/base/rng.h"
#include "dataplane/net/host.h"
#include "dataplane/port/memory_port.h"
#include "l4/tcp/host_egress.h"
#include "l4/tcp/stack.h"
#include "tests/sim/audit_times.h"
#include "tests/sim/ecn_watch.h"

namespace sluice::sim {

struct PeerSpec {
  std::vector<Prefix> addresses;
  std::vector<std::uint16_t> listens;  // TCP ports, on every address
  MacAddress mac;
  std::uint8_t secret = 0;
  bool sack = true, timestamps = true;
  tcp::Ecn ecn = tcp::Ecn::accept;
  std::uint16_t mss = 8960;                 // what it offers at most
  std::uint32_t receive_limit = 64 * 1024;  // small ones shut the window of whoever writes to a slow reader
  std::function<void(tcp::Config&)> tune;   // the last word
};

class Peer {
 public:
  Peer(const PeerSpec& spec, Buffers& buffers, Nanos start);
  virtual ~Peer() = default;
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  // One turn. Whether anything came.
  bool turn(Nanos now);

  MemoryPort& port() { return *port_; }
  tcp::Stack& stack() { return *stack_; }
  const Counters& counters() const { return counters_; }
  // What must hold after a turn; empty when it does.
  std::string broken() { return audit_.due() ? AuditTimes::said(stack_->audit()) + ecn_.failure() + too_large_ : ""; }
  bool has_all_options() const { return all_options_; }
  bool has_timestamps() const { return timestamps_; }
  std::uint64_t images = 0;  // connections that went out as an image and came in again

 protected:
  virtual void event(const tcp::Event& event, Nanos now) = 0;
  virtual void act(Nanos now) = 0;
  virtual void datagram(const Endpoint& from, const Endpoint& to, std::string_view bytes, Nanos now) = 0;
  void send_datagram(const Endpoint& from, const Endpoint& to, std::string_view bytes, Nanos now);

  // Appends what has come; it is consumed only by consume().
  std::uint32_t read(tcp::ConnId id, std::string& to);
  // Sends from the front of `from` what there is room for, and removes it.
  void write(tcp::ConnId id, std::string& from);
  // Whether it is a connection's turn to go out as an image: rarely while all wait, because what timers learn by and by
  // (a black hole) is lost with each.
  bool moves(Rng& rng) const { return rng.chance_ppm(lively_ ? 200 : 10); }
  // The connection as an image, out and in again: the id is another one afterwards. False, and nothing changed, when
  // the connection is not in a state that has an image.
  bool move(tcp::ConnId& id, std::uint64_t user, Nanos now);
  // The connection is forgotten, and nobody answers what comes for it.
  void vanish(tcp::ConnId id);

  Buffers& buffers_;
  std::set<std::pair<std::array<std::uint8_t, 16>, std::uint16_t>> gone_;  // our ends of connections that vanished

 private:
  struct Ports {
    std::vector<std::uint16_t> ports;
    std::optional<tcp::ListenerId> find(const IpAddress&, std::uint16_t port, PortId) const;
  };
  bool gone(const Packet& packet) const;
  void measure(const Packet& packet);
  const bool all_options_, timestamps_;
  const std::uint16_t mss_;
  std::string too_large_;  // a segment, for what this host offered
  void input_udp(const Packet& packet, Nanos now);
  Counters counters_;
  std::unique_ptr<MemoryPort> port_;
  Routes routes_;
  Ports listens_;
  std::unique_ptr<TxQueue> queue_;
  TxQueue* queues_[1];
  std::unique_ptr<Host> host_;
  EcnWatch ecn_;
  std::unique_ptr<tcp::Egress> egress_;
  std::unique_ptr<tcp::Stack> stack_;
  AuditTimes audit_;
  bool lively_ = false;  // something came in this turn
};

}  // namespace sluice::sim
