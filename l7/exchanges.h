// exchanges.h - drives the HTTP of one worker: client connections, exchanges, upstream connections.
// Once a turn: pump() takes what TCP and TLS report and moves every exchange as far as it goes; all that is to be sent
// is sealed and queued in one loop at its end. expire() runs the deadlines. Nothing here waits, allocates or enters the
// kernel.
//
// How a request goes (files by phase):
//   exchanges.cc          events of connections; accept; end; deadlines
//   exchange_request.cc   head read -> routed -> decided; its body towards upstream
//   exchange_upstream.cc  endpoint chosen, connection taken from the pool, opened or waited for; what to do when it
//   fails exchange_response.cc  the answer's head and body towards the client; local replies; the end and the log
//   record
//
// The request timeout runs from the end of the request to the head of the answer (Gateway API: "respond"); from then
// on, and while the request is still coming in, the idle timeout holds. So a long download is never cut by it. A
// request on a pooled connection that turns out to be stale is sent once more on a fresh one, when that is safe:
// nothing of its body went out, no byte of an answer came, and it is idempotent or the peer acknowledged none of it.
#pragma once

#include <vector>

#include "dataplane/base/permit.h"
#include "dataplane/base/ring.h"
#include "dataplane/base/rng.h"
#include "dataplane/base/timers.h"
#include "dataplane/core/trace.h"
#include "dataplane/net/host.h"
#include "l7/exchange.h"
#include "l7/route/table.h"
#include "l7/stats.h"
#include "l7/transport.h"
#include "l7/upstream/pool.h"

namespace sluice {

// Kinds of the permits of a cluster.
enum class ClusterPermit : std::uint32_t { connections, pending, requests, count_ };

struct ExchangesConfig {
  std::uint16_t worker = 0, workers = 1;
  std::uint32_t connections = 32 * 1024;  // of clients and to upstream
  std::uint32_t exchanges = 8 * 1024;     // requests under way
  std::uint32_t small_heads = 2048, large_heads = 64;
  policy::ObjectLimits objects;
  bool source_by_route = true;  // speak to endpoints from the address on their own link; else TCP takes turns
  Nanos linger{5'000'000'000};  // how long what still comes is dropped after the client took the last that we sent
  Nanos handshake_timeout{10'000'000'000};
};

// What exchanges stand on: all of the same worker, but for the permits, which are the node's. They outlive it.
struct ExchangesDeps {
  const Host& host;
  tcp::Stack& tcp;
  tls::Sessions& tls;
  Buffers& buffers;
  Counters& counters;
  Stats& stats;
  Permit& cluster_permits;         // by cluster id and ClusterPermit
  Permit& listener_permits;        // by listener id
  SpscRing<AccessRecord>* access;  // nullptr: no access log
  Trace* trace = nullptr;
};

class Exchanges {
 public:
  Exchanges(const ExchangesConfig& config, const ExchangesDeps& deps, Rng rng, Nanos start);
  ~Exchanges();
  Exchanges(const Exchanges&) = delete;
  Exchanges& operator=(const Exchanges&) = delete;

  void pump(const Policy& policy, Nanos now);
  // Returns a bound on the time of the next deadline.
  Nanos expire(const Policy& policy, Nanos now);
  // From now on answers say connection: close, and idle connections end.
  void drain(Nanos now);
  // The end for those that are left: each is reset, so that its peer need not find out by itself. Nothing is served
  // after this.
  void cut_all(Nanos now);

  std::uint32_t client_connections() const { return clients_; }
  std::uint32_t active() const { return exchanges_.size(); }
  // Whether something waits for the next turn without any packet.
  bool busy() const { return !again_.empty() || !dirty_.empty(); }
  const UpstreamPool& pool() const { return upstream_; }
  // The connection behind TCP's user word; nullptr when there is none.
  const Connection* connection(std::uint64_t user) const { return connections_.find(ConnectionId::from_bits(user)); }

 private:
  enum class Loss : std::uint8_t { refused, reset, cut, timed_out, closed };  // cut: by ourselves, for want of buffers
  enum class Step : std::uint8_t { wait, next, gone };
  // Run-time state of a listener, by stable id; decoders point to its limits.
  struct ListenerState {
    http::Limits limits;
    policy::ListenerTimeouts timeouts;
    std::uint32_t requests_per_connection = 0;
  };

  // exchanges.cc
  void ask_for(std::span<const tcp::Event> events);
  void on_event(const tcp::Event& event);
  Connection* accept(const tcp::Event& event);
  void look(ConnectionId id);
  void wake_peer(Connection& connection);
  void connected(Connection& upstream);
  void lost(Connection& connection, Loss loss);
  void end(Connection& client, bool whole = true);
  void part(Connection& upstream);
  void forget(Connection& connection, bool abort);
  void again(Connection& connection);
  void dirty(Connection& connection);
  void flush_dirty();
  bool still_sending(Connection& connection);
  void connection_expired(Connection& connection);
  void exchange_expired(Exchange& exchange);
  void arm(Exchange& exchange);
  void policy_changed();
  void serve_waiting();
  void yield_idle();

  // exchange_request.cc
  void serve(ConnectionId id);
  void read_requests(ConnectionId id);
  Exchange* begin(Connection& client);
  Step read_request(Connection& client, Exchange& exchange);
  void await_head(const Connection& client, Exchange& exchange);
  Step request_head(Connection& client, Exchange& exchange);
  Step decide(Connection& client, Exchange& exchange);
  Step act_locally(Exchange& exchange, const route::Route& route);
  bool rewrite(Exchange& exchange, const route::Route& route);
  std::uint32_t request_room(Exchange& exchange);
  bool push_request(Exchange& exchange);

  // exchange_upstream.cc
  Step find_upstream(Exchange& exchange);
  Step open_upstream(Exchange& exchange);
  Step wait_for_slot(Exchange& exchange);
  void attach(Exchange& exchange, Connection& upstream);
  bool send_request(Exchange& exchange);
  void leave_upstream(Exchange& exchange, bool reusable);
  void leave_queue(Exchange& exchange);
  void upstream_failed(Exchange& exchange, Loss loss);
  bool may_resend(const Exchange& exchange, const Connection& upstream) const;

  // exchange_response.cc
  void answer(ConnectionId id);
  Step response_head(Connection& upstream, Exchange& exchange);
  bool push_response(Exchange& exchange);
  Step reply(Exchange& exchange, std::uint16_t status, ResponseFlag flag, const http::LocalReply& text = {});
  Step bad_answer(Exchange& exchange);
  void cut(Exchange& exchange, ResponseFlag flag);
  void finish(Exchange& exchange);
  void record(Exchange& exchange);

  // A line of the exchange's story, put together only when somebody listens.
  template <typename... Texts>
  void tell(const Exchange& x, std::string_view stage, const Texts&... texts) {
    if (!x.story) [[likely]]
      return;
    ShortText<96> line;
    line.join(texts...);
    deps_.trace->tell(config_.worker, now_, x.story, stage, line.view());
  }
  Connection* client_of(const Exchange& x) { return connections_.find(x.client.connection); }
  Connection* upstream_of(const Exchange& x) { return connections_.find(x.upstream.connection); }
  Exchange* exchange_of(const Connection& c) { return exchanges_.find(c.exchange); }
  bool acquire(policy::ClusterId cluster, ClusterPermit kind) {
    return deps_.cluster_permits.acquire(config_.worker, cluster, static_cast<std::uint32_t>(kind));
  }
  // Requests that wait for a slot of the cluster on other workers.
  std::uint32_t waiting_elsewhere(policy::ClusterId cluster) {
    if (config_.workers == 1) return 0;
    const std::uint32_t all = deps_.cluster_permits.in_use(cluster, static_cast<std::uint32_t>(ClusterPermit::pending));
    const std::uint32_t here = upstream_.queue(cluster).size;
    return all > here ? all - here : 0;
  }
  void release(policy::ClusterId cluster, ClusterPermit kind) {
    deps_.cluster_permits.release(config_.worker, cluster, static_cast<std::uint32_t>(kind));
  }

  const ExchangesConfig config_;
  const ExchangesDeps deps_;
  Rng rng_;
  http::HeadBuffers heads_;  // outlives connections and exchanges: those that are under way at the end give theirs back
  ConnectionPool connections_;
  Pool<Exchange> exchanges_;
  http::Memory memory_;
  Transport transport_;
  UpstreamPool upstream_;
  TimerWheel connection_timers_, exchange_timers_;
  std::vector<ListenerState> listeners_;
  std::vector<ConnectionId> sessions_;              // connection of each TLS session, by its index
  std::vector<std::uint32_t> endpoint_generation_;  // of endpoints that take new requests; 0: none
  std::vector<ConnectionId> again_, looking_, dirty_;
  http::Limits upstream_limits_;
  const policy::EndpointSet* endpoints_seen_ = nullptr;
  std::uint64_t generation_seen_ = 0;
  const Policy* policy_ = nullptr;  // valid within pump() and expire()
  Nanos now_{};
  Nanos next_slot_check_{}, next_yield_{};
  std::uint32_t clients_ = 0;
  bool draining_ = false;
};

}  // namespace sluice
