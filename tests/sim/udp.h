// udp.h - L4 traffic over UDP: flows of datagrams through the virtual service to the backends, each answered. Links
// lose and double them, so a client asks until it is answered; what comes must be an answer to what was asked, from the
// service's address, and a flow must stay with one backend.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/address.h"
#include "dataplane/base/rng.h"
#include "tests/sim/plan.h"
#include "tests/sim/trouble.h"

namespace sluice::sim {

inline constexpr std::uint16_t udp_port = 5353;

// What a host sends.
struct Datagram {
  Endpoint from, to;
  std::string bytes;
};

class UdpClients {
 public:
  UdpClients(const Plan& plan, const Shrink& shrink, const IpAddress& host, Nanos start, std::uint64_t seed);

  // What is to be asked now.
  void act(Nanos now, std::vector<Datagram>& out);
  void take(const Endpoint& from, const Endpoint& to, std::string_view bytes, Nanos now);

  bool all_done() const { return done_ == flows_.size(); }
  std::string unfinished() const;
  const std::string& failure() const { return failure_; }
  std::uint64_t answered = 0;

 private:
  struct Flow {
    std::uint32_t id = 0, count = 0, next = 0;
    Endpoint here;
    Nanos at{};
    bool done = false;
  };
  IpAddress host_;
  std::vector<Flow> flows_;
  std::size_t done_ = 0;
  Rng rng_;
  std::string failure_;
};

class UdpServers {
 public:
  explicit UdpServers(const Plan& plan) : plan_(plan) {}

  // The answer; empty when there is none.
  std::string take(const Endpoint& to, std::string_view bytes);
  const std::string& failure() const { return failure_; }

 private:
  const Plan& plan_;
  std::map<std::uint32_t, IpAddress> backend_;  // of a flow
  std::string failure_;
};

}  // namespace sluice::sim
