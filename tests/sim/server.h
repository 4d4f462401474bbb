// server.h - the simulated backends: one host with an address for each, which answers what the plan says, checks every
// byte of what was asked, and counts how often it was asked.
#pragma once

#include <deque>
#include <map>
#include <numeric>

#include "tests/sim/peer.h"
#include "tests/sim/plan.h"
#include "tests/sim/udp.h"

namespace sluice::sim {

struct ServerConnection {
  tcp::ConnId id;
  IpAddress address;
  bool l4 = false, finished = false, gone = false, close_when_sent = false, abort_when_sent = false, mute = false;
  std::string in, out;
  const Request* request = nullptr;  // its body is being read, or its answer is due
  std::uint64_t body_received = 0, left = 0;
  bool chunked = false, last_chunk = false, body_done = false, replied = false;
  Nanos due{};
};

class Servers final : public Peer {
 public:
  Servers(const PeerSpec& spec, Buffers& buffers, Nanos start, const Plan& plan, const Shrink& shrink,
          std::uint64_t seed);

  const std::string& failure() const { return failure_.empty() ? udp_.failure() : failure_; }
  // How often a request came.
  std::uint32_t asked(std::uint32_t id) const { return asked_[id]; }
  std::uint64_t asked() const { return std::accumulate(asked_.begin(), asked_.end(), std::uint64_t{0}); }
  std::uint64_t bytes = 0, tls_bytes = 0;  // of bodies; of them, what clients sent through TLS
  std::size_t open() const { return by_user_.size(); }

 private:
  void event(const tcp::Event& event, Nanos now) override;
  void act(Nanos now) override;
  void datagram(const Endpoint& from, const Endpoint& to, std::string_view bytes, Nanos now) override;
  void step(ServerConnection& c, Nanos now);
  void step_l4(ServerConnection& c, Nanos now);
  bool read_head(ServerConnection& c, Nanos now);
  void read_body(ServerConnection& c);
  bool body_bytes(ServerConnection& c, std::size_t n);
  void reply(ServerConnection& c);
  void fail(const ServerConnection& c, const std::string& what);

  const Plan& plan_;
  UdpServers udp_;
  const bool images_;
  std::map<std::uint64_t, ServerConnection> by_user_;
  std::vector<std::uint32_t> asked_;
  std::uint64_t next_user_ = 1;
  Rng rng_;
  std::string failure_;
};

// Which backend has this address: "a", "b", "c", "narrow", "mute", "l4".
std::string backend_of(const IpAddress& address);

}  // namespace sluice::sim
