// forward.h - L4 services of one worker: packets of the forward lane in, rewritten packets out.
// Looks all flows of a burst up first; a packet without a flow makes one if a service takes it (Maglev, SNAT port).
// Flows stay with their backend through policy changes while service and backend exist under their ids; weight 0 only
// keeps new ones away. ICMP errors about a flow are translated and passed on.
//
// A TCP packet without a flow that is no SYN is answered by a reset. When the table is full, a flow that nobody has
// answered yet gives way (evict_tries are looked at); else the packet is dropped and counted. Full-NAT cannot forward
// without a flow, because replies need its port; the stateless Maglev choice (choose()) is for the modes whose replies
// do not come back this way. TCP is followed by flags and the ends of its segments
// (flow_phase.h).
//
// Whether a packet fits the MTU of its way out is not asked here; nothing is fragmented.
// Owner: the worker. Nothing is allocated after the constructor.
#pragma once

#include "dataplane/net/routes.h"
#include "l4/nat.h"
#include "l4/stats.h"
#include "l4/steer.h"

namespace sluice {

// Why a packet could not be forwarded, where its sender should be told: TCP by a reset (the stack's), UDP by port
// unreachable, hop_limit by time exceeded. not_ours: for a SNAT port that no flow has; the kernel may speak from it.
enum class Rejection : std::uint8_t { no_flow, no_backend, hop_limit, not_ours };

// What became of a burst. Packets start at their IP header, checksums final.
struct Forwarded {
  struct Rejected {
    Packet packet;  // as it came, frame and Meta
    Rejection why;
  };
  std::array<Packet, steer_burst_max> packets;
  std::array<IpAddress, steer_burst_max> destinations;
  std::array<Rejected, steer_burst_max> rejected;
  std::uint16_t count = 0, rejected_count = 0;
};

class Forwarder {
 public:
  struct Config {
    std::uint16_t worker = 0, workers = 1;
    std::uint32_t flows = 65536;
    FlowHash seeds{};                    // random in the appliance
    std::uint32_t first_port = 0;        // where in the SNAT pool the first flows begin: random in the appliance
    Nanos sweep{1'000'000'000};          // time in which expire() has looked at every flow
    std::uint32_t expire_budget = 4096;  // flows that one expire() looks at, at most
    const Routes* routes = nullptr;      // given: a backend is spoken to from the address on its own link
  };
  static constexpr unsigned evict_tries = 8;

  // `stats` and `counters` outlive the forwarder; `addresses` is only read here.
  Forwarder(const Config& config, const LocalAddresses& addresses, L4Stats& stats, Counters& counters);

  // Takes every packet of the burst (at most steer_burst_max). `out` must be empty.
  void forward(std::span<Packet> burst, const Services& services, Nanos now, Forwarded& out);
  // Housekeeping, once a turn: flows past their timeout, and flows whose service or backend is gone.
  void expire(const Services& services, Nanos now);

  const FlowTable& flows() const { return flows_; }

  // The backend for a key, by Maglev alone: the same on every worker and node. nullptr when none takes new flows.
  static const Backend* choose(const Service& service, const FlowKey& key);

 private:
  struct Turn;
  void take(Packet packet, const FlowKey& key, FlowRef ref, Turn& turn);
  void take_error(Packet packet, Turn& turn);
  void pass(Packet packet, Flow& flow, Direction direction, Turn& turn);
  // A new flow for a packet, which is consumed when there is none.
  Flow* open(Packet& packet, const FlowKey& key, Turn& turn);
  Flow* insert(const FlowEnds& ends, const Service& service, Turn& turn);
  bool usable(Flow& flow, Turn& turn);
  bool revoked(Flow& flow, const Services& services) const;
  bool reopen(Flow& flow, const FlowKey& key, Turn& turn);
  void observe(Flow& flow, Direction direction, const Packet& packet, Turn& turn);
  void close(Flow& flow, Counter why);
  void count_end(const Flow& flow, Counter why);
  IpAddress source_for(const IpAddress& backend) const;
  bool make_room();

  Config config_;
  FlowTable flows_;
  SnatPorts ports_;
  L4Stats& stats_;
  Counters& counters_;
  Nanos swept_{};
  bool changed_ = false;  // a flow went since the burst was looked up: what was found must be looked up again
};

}  // namespace sluice
