// neighbours.h - who is on the link: IP address to MAC address, for ARP (RFC 826) and Neighbour Discovery (RFC
// 4861 7.2, 7.3). One table per worker, in fixed memory. Knows no packet formats: evidence goes in (apply), requests
// come out (due). States as in RFC 4861 7.3.2, without DELAY: a stale neighbour that is used is probed at once.
//
// Bounds: `capacity` neighbours; at most a quarter of them unresolved, so that a scan of an empty subnet takes no place
// from those that live; new resolutions under a token bucket of their own, probes of the living and gateways outside
// it; packets_per_neighbour frames wait for each unresolved one, the newest replacing the oldest. When full, a stale
// neighbour gives way. Evidence never creates a neighbour, unless it comes with a request to us (whoever asks will be
// answered).
#pragma once

#include <array>
#include <memory>

#include "dataplane/base/address.h"
#include "dataplane/base/pool.h"
#include "dataplane/net/routes.h"
#include "dataplane/net/token_bucket.h"

namespace sluice {

struct NeighbourLimits {
  std::uint32_t capacity = 4096;
  Nanos reachable_time{30'000'000'000};
  Nanos retry_interval{1'000'000'000};
  std::uint8_t tries = 3;
  std::uint32_t resolutions_per_second = 100;
  std::uint32_t resolutions_burst = 32;
};

// What a packet told about a neighbour. Plain data: what one worker learns, the others are told.
struct NeighbourNews {
  enum class Kind : std::uint8_t {
    request,       // it asked us, giving its own address: makes a neighbour (stale)
    reply,         // it answered a request (ARP reply, solicited advertisement): it is reachable
    announcement,  // it said so unasked, or the answer does not confirm reachability
  };
  IpAddress address;
  MacAddress mac;
  InterfaceId interface = no_interface;
  Kind kind = Kind::announcement;
  bool replaces = true;  // may change a known MAC (ND's override flag)
};

class Neighbours {
 public:
  enum class State : std::uint8_t { incomplete, reachable, stale, probe };
  static constexpr std::uint32_t packets_per_neighbour = 4;

  struct alignas(64) Neighbour {
    IpAddress address;
    MacAddress mac;
    InterfaceId interface;
    State state = State::incomplete;
    std::uint8_t tries = 0;
    std::uint8_t waiting_count = 0;
    bool pinned = false;     // a gateway: never evicted, always resolved
    Nanos deadline{};        // of the state: retry, or end of reachability
    std::uint32_t next = 0;  // in its hash bucket
    std::array<rte_mbuf*, packets_per_neighbour> waiting{};

    bool usable() const { return state != State::incomplete; }
  };
  using Id = Handle<Neighbour>;

  // A request to send: multicast (or broadcast) when the MAC is not known, else to `mac`.
  struct Solicit {
    IpAddress address;
    MacAddress mac;
    InterfaceId interface;
    bool unicast;
  };

  Neighbours(const NeighbourLimits& limits, Counters& counters);
  ~Neighbours();
  Neighbours(const Neighbours&) = delete;
  Neighbours& operator=(const Neighbours&) = delete;

  Neighbour* find(Id id) { return pool_.find(id); }
  Neighbour* find(InterfaceId interface, const IpAddress& address);
  // The neighbour, made unresolved when it is new; nullptr when the bounds forbid a new one.
  Neighbour* find_or_make(InterfaceId interface, const IpAddress& address, Nanos now);
  Id id(const Neighbour& neighbour) const { return pool_.handle(&neighbour); }
  // Says that it is being sent to. True when a request is to be sent now (solicit() tells which).
  bool used(Neighbour& neighbour, Nanos now);
  Solicit solicit(const Neighbour& neighbour) const;
  // Holds a packet until it resolves; the oldest dies when there are too many.
  void wait(Neighbour& neighbour, Packet packet);
  // Evidence. The neighbour when it is usable now, and its waiting packets are the caller's to send.
  Neighbour* apply(const NeighbourNews& news, Nanos now);
  // A higher layer has proof of two-way reachability (RFC 4861 7.3.1).
  void confirm(Neighbour& neighbour, Nanos now);
  // A gateway: made if the pool has room, never evicted, resolved without being used.
  void pin(InterfaceId interface, const IpAddress& address, Nanos now);
  // Takes the next waiting packet, or nothing.
  Packet take_waiting(Neighbour& neighbour);
  // Runs timers over a bounded part of the table; fills `out` with requests to send and returns how many.
  std::size_t due(std::span<Solicit> out, Nanos now);
  void clear();

  std::uint32_t size() const { return pool_.size(); }
  std::uint32_t unresolved() const { return unresolved_; }
  template <typename F>
  void each(F&& f) {
    pool_.each(f);
  }

 private:
  std::uint32_t bucket(InterfaceId interface, const IpAddress& address) const;
  Neighbour* make(InterfaceId interface, const IpAddress& address);
  bool evict_stale();
  bool evict_unresolved();
  void remove(Neighbour& neighbour, Counter reason);
  void set_state(Neighbour& neighbour, State state, Nanos deadline);

  NeighbourLimits limits_;
  Counters& counters_;
  Pool<Neighbour> pool_;
  std::unique_ptr<std::uint32_t[]> buckets_;
  std::uint32_t bucket_mask_;
  TokenBucket resolutions_;
  std::uint32_t unresolved_ = 0;
  std::uint32_t sweep_ = 0;  // where due() goes on
  std::uint32_t evict_ = 0;  // where eviction goes on
};

}  // namespace sluice
