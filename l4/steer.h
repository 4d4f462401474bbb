// steer.h - puts every parsed packet of a burst into exactly one lane: dropped with a reason, another worker, host,
// forward (L4 services), local (TCP termination) or the exception port.
//
// A pure function of the packet and the tables. Owner of a flow: the worker bits of the destination port where
// destination and port are ours to speak from (local_addresses.h), else the symmetric hash of the tuple, overridden by
// the exceptions. Lane, in this order:
//   1. ARP, and ICMP that is no error (echo, ND): host, on the worker that received it.
//   2. ICMP errors: by the packet inside, to the owner of its flow; forward for SNAT'ed flows and services, local for
//      TCP's, else host.
//   3. A port that we speak from: forward (SNAT) or local (upstream). With an exception port, upstream segments of no
//      connection go there: the kernel speaks from such ports as well.
//   4. A listener or a service that matches, the longer prefix first, the listener when equal. Neither asks whether the
//      destination is ours.
//   5. A TCP connection that this worker has although no listener matches any more: local.
//   6. Our addresses, multicast, broadcast, protocols that nothing here speaks: the exception port if there is one.
//   Without
//      one, what is for our addresses goes to host: the pipeline answers TCP with the stack's RST and UDP with port
//      unreachable. Anything else is not for us: a counted drop.
// Fragments of TCP and UDP are dropped and counted, until dataplane/net reassembles.
// A packet that was handed off is never handed off again. Thread: the worker's own; tables are shared and immutable,
// except the exceptions, which are lock-free.
#pragma once

#include <array>
#include <atomic>
#include <memory>

#include "l4/listener.h"
#include "l4/local_addresses.h"
#include "l4/service.h"

namespace sluice {

inline constexpr std::uint16_t steer_burst_max = 64;

// The owner by hash of a flow that has no local port: Meta::hash or tuple_hash() in, worker out.
constexpr std::uint16_t owner_of_hash(std::uint32_t hash, unsigned workers) {
  return static_cast<std::uint16_t>(std::uint64_t{hash} * workers >> 32);
}

// Flows whose owner is not the one of their hash (an upstream leg that speaks from the client's address). Lock-free,
// any number of writers and readers; fixed size; a full bucket refuses. Both directions of a flow are one entry.
class SteerExceptions {
 public:
  explicit SteerExceptions(std::uint32_t capacity);
  bool insert(const FlowKey& key, std::uint16_t worker);
  void erase(const FlowKey& key);
  std::optional<std::uint16_t> find(const FlowKey& key) const;
  bool empty() const { return count_.load(std::memory_order_relaxed) == 0; }

 private:
  static constexpr std::uint32_t bucket_slots = 8;  // 56 bits of hash and 8 of worker; 0 is free
  struct alignas(64) Bucket {
    std::array<std::atomic<std::uint64_t>, bucket_slots> slots{};
  };
  static std::uint64_t tag_of(const FlowKey& key);
  Bucket& bucket(std::uint64_t tag) const { return buckets_[(tag >> 8) & (bucket_count_ - 1)]; }

  std::uint32_t bucket_count_;
  std::unique_ptr<Bucket[]> buckets_;
  std::atomic<std::uint32_t> count_{0};
};

// What steer asks of the worker's TCP stack.
class OwnConnections {
 public:
  // Whether a segment with this key (as received) belongs to a connection of this worker.
  virtual bool has(const FlowKey& key) const = 0;

 protected:
  ~OwnConnections() = default;
};

struct SteerTables {
  const Services& services;
  const Listeners& listeners;
  const LocalAddresses& addresses;
  const SteerExceptions* exceptions = nullptr;
  const OwnConnections* connections = nullptr;
  std::uint16_t self = 0;  // this worker
  std::uint16_t workers = 1;
  bool exception_port = false;
};

enum class Lane : std::uint8_t { drop, other, host, forward, local, exception };

// Packets of one lane, at most a burst.
class PacketList {
 public:
  void push(Packet packet) {
    DCHECK(size_ < packets_.size());
    packets_[size_++] = std::move(packet);
  }
  std::span<Packet> packets() { return {packets_.data(), size_}; }
  std::uint16_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // Forgets the packets, which the caller has taken; what was left is freed.
  void clear() {
    for (Packet& packet : packets()) packet = {};
    size_ = 0;
  }

 private:
  std::array<Packet, steer_burst_max> packets_;
  std::uint16_t size_ = 0;
};

struct Lanes {
  PacketList other;  // Meta::owner says which worker
  PacketList host, forward, local, exception;
  void clear() {
    for (PacketList* list : {&other, &host, &forward, &local, &exception}) list->clear();
  }
};

struct Decision {
  Lane lane;
  std::uint16_t owner;
  Counter reason;  // of a drop
};
// Where one packet goes, and why.
Decision steer_one(const Packet& packet, const SteerTables& tables);

// Moves every packet (at most steer_burst_max, all parsed) to its lane. Lanes must be clear.
void steer(std::span<Packet> burst, const SteerTables& tables, Lanes& lanes, Counters& counters);

}  // namespace sluice
