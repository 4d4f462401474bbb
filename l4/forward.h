// forward.h - L4 services of one worker: packets of the forward lane in, rewritten packets out.
// Looks all flows of a burst up first; a packet without a flow makes one if its service takes it (Maglev, SNAT port). Flows
// stay with their backend through policy changes while service and backend exist; weight 0 only keeps new ones away.
//
// A TCP packet without a flow that is no SYN is answered by a reset (Rejection::no_flow). When the table is full, a flow
// that never got beyond its first packet gives way (at most evict_tries are looked at); else the packet is dropped
// and counted. Full-NAT cannot forward without a flow, because replies need its port: the stateless Maglev choice serves the modes
// that send replies directly (choose()).
// TCP is followed by flags alone, not by sequence numbers: enough for timeouts, nothing more.
//
// Owner: the worker. Nothing is allocated after the constructor.
#pragma once

#include "l4/nat.h"
#include "l4/stats.h"
#include "l4/steer.h"

namespace sluice {

// Why a packet could not be forwarded, where its sender should be told (by dataplane/net Host).
enum class Rejection : std::uint8_t { no_flow, no_backend, hop_limit };

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
    FlowHash seeds;              // random in the appliance
    Nanos sweep{1'000'000'000};  // time in which expire() has looked at every flow
    std::uint32_t expire_budget = 4096;  // flows looked at in one call at most
  };
  static constexpr unsigned evict_tries = 8;

  // `stats` and `counters` outlive the forwarder; `addresses` is only read here.
  Forwarder(const Config& config, const LocalAddresses& addresses, L4Stats& stats, Counters& counters);

  // Takes every packet of the burst (at most steer_burst_max). `out` must be empty.
  void forward(std::span<Packet> burst, const Services& services, Nanos now, Forwarded& out);
  // Housekeeping: once a turn.
  void expire(Nanos now);
  // Flows of services and backends that are gone end with their next packet; this ends all at once, for a drain.
  void forget_all();

  const FlowTable& flows() const { return flows_; }

  // The backend for a key, by Maglev alone. The same on every worker and node.
  static const Backend* choose(const Service& service, const FlowKey& key);

 private:
  struct Turn;  // what is fixed for a burst
  void one(Packet packet, const FlowKey& key, FlowRef ref, Turn& turn);
  Flow* open(const Packet& packet, const FlowKey& key, Turn& turn, Packet& rejected);
  void close(Flow& flow);
  void count_end(const Flow& flow);
  bool still_good(Flow& flow, const Services& services);
  bool make_room(std::uint32_t now_ms);

  Config config_;
  FlowTable flows_;
  SnatPorts ports_;
  L4Stats& stats_;
  Counters& counters_;
  Nanos swept_{};
};

}  // namespace sluice
