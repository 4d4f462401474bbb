// client.h - the simulated clients: each connection of the plan opened, its requests asked one after another, each
// answer read by a parser of its own and compared with the plan, byte by byte as it comes. Where the seed makes a pool
// of the node too small, a refusal (reset, 503) is right as well: the client tries again, later, until all is answered;
// in any other seed it is a failure.
#pragma once

#include <map>
#include <set>

#include "tests/sim/peer.h"
#include "tests/sim/plan.h"
#include "tests/sim/tls_client.h"
#include "tests/sim/udp.h"

namespace sluice::sim {

// One answer, as its bytes come.
struct Answer {
  enum class Body : std::uint8_t { none, length, chunked, close };
  std::string head;
  std::uint16_t status = 0;
  std::map<std::string, std::string> fields;
  Body body = Body::none;
  std::uint64_t left = 0;      // of the body, or of the chunk
  std::uint64_t received = 0;  // bytes of body so far
  bool in_body = false, done = false, last_chunk = false;
};

struct ClientConnection {
  const ConnectionPlan* plan = nullptr;
  std::unique_ptr<TlsClient> tls;
  tcp::ConnId id;
  bool open = false, waiting = true, finished = false, done = false, shut = false;
  Nanos at{};               // when it connects (again)
  std::size_t request = 0;  // the one under way
  bool asked = false;
  std::string out, in, plain;  // ciphertext or plaintext to send; plaintext that came
  std::uint64_t unconsumed = 0, taken = 0;
  Nanos stalled_until{};
  std::uint32_t attempts = 0;
  Answer answer;
  std::uint64_t l4_received = 0;
};

class Clients final : public Peer {
 public:
  Clients(const PeerSpec& spec, Buffers& buffers, Nanos start, const Plan& plan, const Shrink& shrink,
          std::uint64_t seed, bool refusals_allowed);

  bool all_done() const { return done_ == connections_.size() && udp_.all_done(); }
  const std::string& failure() const { return failure_.empty() ? udp_.failure() : failure_; }
  std::uint64_t datagrams() const { return udp_.answered; }
  std::uint64_t refusals = 0, answers = 0, bytes = 0, tls_bytes = 0, swaps_seen[2] = {};
  std::string unfinished() const;
  std::uint64_t vanished = 0;
  // Whether nobody waits for the answer to this request any more.
  bool gave_up(std::uint32_t id) const { return given_up_.contains(id); }

 private:
  void event(const tcp::Event& event, Nanos now) override;
  void act(Nanos now) override;
  void datagram(const Endpoint& from, const Endpoint& to, std::string_view bytes, Nanos now) override {
    udp_.take(from, to, bytes, now);
  }
  void step(ClientConnection& c, Nanos now);
  void connect(ClientConnection& c, Nanos now);
  void ask(ClientConnection& c);
  void take(ClientConnection& c, Nanos now);
  void take_l4(ClientConnection& c);
  bool parse_head(ClientConnection& c);
  void take_body(ClientConnection& c);
  std::size_t take_chunk_line(ClientConnection& c);
  void answered(ClientConnection& c, Nanos now);
  void ended(ClientConnection& c, const char* how, Nanos now);
  void again(ClientConnection& c, const char* why, Nanos now);
  void finish(ClientConnection& c, Nanos now);
  void go(ClientConnection& c);
  bool stalls(ClientConnection& c, Nanos now) const;
  void fail(const ClientConnection& c, const std::string& what);

  std::vector<ClientConnection> connections_;
  UdpClients udp_;
  std::vector<Datagram> datagrams_;
  Rng rng_;
  const Nanos start_;
  Nanos last_{};
  const bool refusals_allowed_, images_;
  std::size_t done_ = 0;
  std::set<std::uint32_t> given_up_;
  std::string failure_;
};

}  // namespace sluice::sim
