// generator.h - a port that makes UDP packets of many flows in its receive call and takes what comes back in its
// transmit call: the whole world around a full-NAT node, inlined, so that no ring is the limit. Its own cost is part of
// the turns it feeds (and is measured alone as port_overhead); the same port feeds us and rte_hash_nat.
//
// Frames are 60 bytes (64 on the wire), IPv4, UDP with a checksum, the flow's number in the payload. Flow f comes from
// client_of(f) and goes to the VIP. Buffers go round in a ring as deep as a NIC's, so that they are as cold as a NIC's
// would be in the second-level cache. Flows come in order, or at random, each with equal chance.
//
// What comes back: every packet is counted, and its headers from the hop limit to the UDP checksum are hashed (the sum
// over packets does not depend on their order). While checking, it is verified in full: both checksums, hop limit,
// MACs, that the payload is the flow's, that it goes to a backend from one of our SNAT ports, and that the flow's
// translation is the one it always had. A timed stretch is not checked but offered again, checked: equal hashes say
// that every packet of the timed one was right. ARP requests are answered at any time. One queue, one worker; no
// allocation after the constructor.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "dataplane/packet/buffers.h"
#include "dataplane/port/port.h"

namespace sluice::perf {

// The addresses of the benchmark (RFC 2544's and RFC 6598's ranges, and private ones).
struct NatWorld {
  static constexpr std::uint32_t vip = 0xc6120001;            // 198.18.0.1
  static constexpr std::uint32_t node = 0xc0000201;           // 192.0.2.1
  static constexpr std::uint32_t first_backend = 0xc0000265;  // 192.0.2.101 ...
  static constexpr std::uint32_t backends = 10;
  static constexpr std::uint32_t first_snat = 0x64400001;  // 100.64.0.1 ...
  static constexpr std::uint32_t snat_addresses = 32;
  static constexpr std::uint16_t vip_port = 443, backend_port = 8443, snat_low = 1024;
  static constexpr std::uint32_t first_client = 0x0a000100;  // 10.0.1.0 ...
  static constexpr std::uint16_t first_client_port = 1024;
  static constexpr unsigned ports_per_client = 16;
  static constexpr std::uint8_t hop_limit = 64;
  static constexpr MacAddress node_mac{{0x02, 0, 0, 0, 0, 0x01}}, client_mac{{0x02, 0, 0, 0, 0, 0x02}};

  static constexpr std::uint32_t client_address(std::uint32_t flow) { return first_client + flow / ports_per_client; }
  static constexpr std::uint16_t client_port(std::uint32_t flow) {
    return static_cast<std::uint16_t>(first_client_port + flow % ports_per_client);
  }
  static constexpr MacAddress backend_mac(std::uint32_t address) {
    return {{0x02, 0, 1, 0, static_cast<std::uint8_t>(address >> 8), static_cast<std::uint8_t>(address)}};
  }
  static constexpr bool is_backend(std::uint32_t a) { return a >= first_backend && a < first_backend + backends; }
  static constexpr bool is_snat(std::uint32_t a) { return a >= first_snat && a < first_snat + snat_addresses; }
};

class Generator final : public Port {
 public:
  static constexpr std::uint16_t frame_size = 60;
  static constexpr std::uint32_t ring = 1024;  // buffers that go round

  // `flows` is the list of flow numbers this queue makes; `hardware_checksums`: as a NIC that has verified them.
  Generator(std::vector<std::uint32_t> flows, Buffers& buffers, bool hardware_checksums);
  ~Generator() override;

  // What the next calls of receive() give: `count` packets, at random or from flow `from` on, round and round.
  void offer_random(std::uint64_t count) { random_ = true, left_ = count, began_ = state_; }
  // The packets of the last offer_random() once more.
  void offer_again(std::uint64_t count) { state_ = began_, offer_random(count); }
  void offer_in_order(std::uint64_t count, std::uint32_t from = 0) { random_ = false, left_ = count, next_ = from; }
  bool done() const { return left_ == 0 && replies_ == 0; }
  // Checks every packet in full from now on, or no longer.
  void check(bool on) { checking_ = on; }
  // After a checked stretch: no two flows may have the same translation. Allocates.
  void check_unique();
  // The flows have ended: whatever comes next is their translation.
  void forget() { std::ranges::fill(translations_, Translation{}); }

  std::uint16_t receive(std::uint16_t queue, std::span<rte_mbuf*> out, Nanos now) override;
  std::uint16_t transmit(std::uint16_t queue, std::span<rte_mbuf*> frames, Nanos now) override;

  std::uint64_t sent() const { return sent_; }          // handed out by receive()
  std::uint64_t returned() const { return returned_; }  // IPv4 packets that came to transmit()
  std::uint64_t checked() const { return checked_; }
  std::uint64_t wrong() const { return wrong_; }
  std::uint64_t seen_hash() const { return hash_; }  // over what came back, of every packet
  // Over the choice of backend of each flow: the same on every run and every implementation with equal Maglev tables.
  std::uint64_t backend_hash() const;
  std::uint32_t flow_count() const { return static_cast<std::uint32_t>(flows_.size()); }

 private:
  struct Translation {
    std::uint32_t local = 0, backend = 0;
    std::uint16_t local_port = 0, backend_port = 0;
    bool operator==(const Translation&) const = default;
  };
  rte_mbuf* take_buffer();
  void give_buffer(rte_mbuf* frame);
  void make(rte_mbuf* frame, std::uint32_t place);
  bool verify(const rte_mbuf* frame);
  void answer_arp(const rte_mbuf* frame);

  Buffers& buffers_;
  std::vector<std::uint32_t> flows_;
  std::vector<Translation> translations_;  // by place in flows_
  alignas(64) std::array<std::uint8_t, 64> template_{};
  std::uint32_t ip_sum_ = 0, udp_sum_ = 0;  // of the template, one's complement, not inverted
  std::uint64_t rx_flags_;
  std::array<rte_mbuf*, ring> free_;
  std::uint32_t free_head_ = 0, free_count_ = 0;
  bool random_ = true, checking_ = false;
  std::uint32_t next_ = 0;
  std::uint64_t left_ = 0, state_ = 0x9e3779b97f4a7c15, began_ = state_;
  std::uint64_t sent_ = 0, returned_ = 0, checked_ = 0, wrong_ = 0, hash_ = 0;
  static constexpr std::uint32_t replies_max = 64;
  std::array<rte_mbuf*, replies_max> reply_;
  std::uint32_t replies_ = 0;
};

}  // namespace sluice::perf
