// pipeline.h - one worker: the order of the stages. Every reader starts at Pipeline::turn.
// Built by management before its thread starts; afterwards only its worker touches it. The same object runs in the
// appliance (mgmt/appliance), in the simulator, in the golden tests and in the benchmarks; time comes from outside.
#pragma once

#include <memory>
#include <vector>

#include "dataplane/core/handoff.h"
#include "dataplane/net/news_rings.h"
#include "dataplane/port/remote_port.h"
#include "l4/forward.h"
#include "l4/tcp/host_egress.h"
#include "l7/exchanges.h"

namespace sluice {

// How one worker uses one port.
struct PortBinding {
  Port* port = nullptr;  // the port, or a RemotePort when another worker owns its only queue
  std::uint16_t queue = 0;
  bool receives = false;             // this worker polls the queue
  std::vector<RemotePort*> remotes;  // of the workers whose frames this one puts on the queue
};

struct PipelineConfig {
  std::uint16_t worker = 0, workers = 1;
  bool verify_checksums = true;
  HostLimits host;
  tcp::Config tcp;  // port_owner is filled in by the pipeline
  tls::SessionsConfig tls;
  Forwarder::Config forward;
  ExchangesConfig exchanges;
};

// What a worker is given. Shared by all workers unless said; all of it outlives the pipeline.
struct PipelineDeps {
  Buffers& buffers;
  Counters& counters;                        // this worker's
  Stats& stats;                              // this worker's
  L4Stats& l4_stats;                         // this worker's
  Engine& engine;                            // this worker's
  SpscRing<AccessRecord>* access = nullptr;  // this worker's
  Permit& cluster_permits;
  Permit& listener_permits;
  Handoff& handoff;
  NewsRings& news;
  Trace* trace = nullptr;
  const Routes& routes;
  const LocalAddresses& addresses;
  const Published<Policy>& policy;
};

class Pipeline {
 public:
  // `ports` by PortId.
  Pipeline(const PipelineConfig& config, const PipelineDeps& deps, std::vector<PortBinding> ports, Rng rng,
           Nanos start);
  ~Pipeline();
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  // One turn. Whether it found work.
  bool turn(Nanos now);

  // What management asks of a worker, run by the worker between two turns.
  void drain(Nanos now) { exchanges_.drain(now); }
  void cut_all(Nanos now) { exchanges_.cut_all(now); }
  void announce() { host_.announce(); }
  bool drained() const { return exchanges_.client_connections() == 0 && exchanges_.active() == 0; }

  tcp::Stack& tcp() { return tcp_; }
  tls::Sessions& tls() { return tls_; }
  Host& host() { return host_; }
  const Forwarder& forwarder() const { return forwarder_; }
  const Exchanges& exchanges() const { return exchanges_; }

 private:
  void receive(PortId port, Nanos now);
  void process(std::span<Packet> burst, Nanos now);
  void dispatch(std::span<Packet> burst, Nanos now);
  void forward(std::span<Packet> burst, Nanos now);
  void reject(Forwarded::Rejected& rejected, Nanos now);
  void to_host(Packet packet, Nanos now);
  void to_exception(Packet packet, Nanos now);
  void trace(std::span<Packet> burst, Nanos now);
  NextHop& hop_for(const IpAddress& destination);
  void send_remote_frames(PortBinding& binding, TxQueue& queue, Nanos now);
  void policy_changed(Nanos now);

  static bool owns_port(const void* self, const IpAddress& local, std::uint16_t port, const Endpoint& remote);
  static Forwarder::Config forward_config(const PipelineConfig& config, const PipelineDeps& deps);
  static tcp::Config tcp_config(const PipelineConfig& config, const Pipeline* self);

  const PipelineConfig config_;
  const PipelineDeps deps_;
  std::vector<PortBinding> ports_;
  std::vector<std::unique_ptr<TxQueue>> queues_;
  std::vector<TxQueue*> queue_of_port_;
  Host host_;
  tcp::HostEgress egress_;
  tcp::Stack tcp_;
  tls::Sessions tls_;
  Forwarder forwarder_;
  Exchanges exchanges_;
  Lanes lanes_;
  Forwarded forwarded_;
  const Policy* policy_ = nullptr;  // within a turn
  std::uint64_t generation_seen_ = 0;
  // Steer asks whether TCP knows a segment that no listener and no address of ours claims.
  struct TcpConnections final : OwnConnections {
    explicit TcpConnections(const tcp::Stack& stack) : tcp(stack) {}
    bool has(const FlowKey& key) const override {
      return tcp.has({key.destination, key.destination_port}, {key.source, key.source_port}, key.network);
    }
    const tcp::Stack& tcp;
  };
  const TcpConnections connections_{tcp_};
  const bool has_exception_ports_;
  bool busy_ = false;  // this turn found work

  // Next hops of forwarded packets, by destination: a flow has no place for one.
  struct CachedHop {
    IpAddress destination;
    NextHop hop;
  };
  static constexpr std::size_t hops = 256;
  std::array<CachedHop, hops> hops_{};
};

}  // namespace sluice

// Tested in tests/unit/l7/exchanges_test.cc.
