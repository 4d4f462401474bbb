// packet.h - a packet is a move-only value over one DPDK mbuf chain; it dies in exactly one place, with a reason.
// `Packet` owns. `Meta` is what parse learnt about it, and lives in the mbuf's private area (one cache line), so that
// it travels with the packet through rings. A buffer with more than one reference is read-only (see sole_owner()).
#pragma once

#include <rte_mbuf.h>

#include <utility>

#include "dataplane/base/bytes.h"
#include "dataplane/base/counters.h"
#include "dataplane/base/units.h"

namespace sluice {

using PortId = std::uint16_t;
inline constexpr PortId no_port = 0xffff;

enum class L3 : std::uint8_t { none, arp, ip4, ip6 };
// IP protocol numbers that anything here looks at (IANA).
enum class Protocol : std::uint8_t { icmp = 1, tcp = 6, udp = 17, icmp6 = 58, none = 59 };

// What parse found. Offsets count from the start of the frame's data.
struct alignas(64) Meta {
  PortId port = no_port;   // where it came in
  std::uint16_t vlan = 0;  // 802.1Q VLAN id, 0 when untagged
  std::uint16_t l3_offset = 0;
  std::uint16_t l4_offset = 0;
  std::uint16_t payload_offset = 0;
  std::uint16_t payload_size = 0;  // after padding was cut off
  std::uint32_t hash = 0;          // symmetric hash of the tuple: equal for both directions
  L3 l3 = L3::none;
  Protocol protocol = Protocol::none;
  std::uint8_t tcp_flags = 0;
  bool fragment : 1 = false;
  bool later_fragment : 1 = false;    // not the first: no transport header
  bool l3_checksum_good : 1 = false;  // verified, by hardware or by us
  bool l4_checksum_good : 1 = false;
  bool traced : 1 = false;        // matches a trace request: stages tell its story
  bool handed_off : 1 = false;    // crossed from another worker already
  bool continues : 1 = false;     // TCP that goes on where the packet before it in its burst stops (parse.h)
  std::uint16_t source_port = 0;  // host order; 0 where the protocol has none
  std::uint16_t destination_port = 0;
  std::uint16_t owner = 0;  // worker that owns the flow
  std::uint32_t story = 0;  // id of the trace story it belongs to, 0: none
};
static_assert(sizeof(Meta) == 64);

// Frees a whole chain whose death needs no reason: it was consumed, not lost.
inline void free_buffers(rte_mbuf* mbuf) { rte_pktmbuf_free(mbuf); }

class Packet {
 public:
  Packet() = default;
  explicit Packet(rte_mbuf* mbuf) : mbuf_(mbuf) {}
  Packet(Packet&& other) noexcept : mbuf_(std::exchange(other.mbuf_, nullptr)) {}
  Packet& operator=(Packet&& other) noexcept {
    if (this != &other) {
      if (mbuf_) free_buffers(mbuf_);
      mbuf_ = std::exchange(other.mbuf_, nullptr);
    }
    return *this;
  }
  ~Packet() {
    if (mbuf_) free_buffers(mbuf_);
  }

  explicit operator bool() const { return mbuf_ != nullptr; }
  rte_mbuf* get() const { return mbuf_; }
  rte_mbuf* release() { return std::exchange(mbuf_, nullptr); }

  // The whole frame's size, and the bytes of its first segment. Headers are always in the first segment.
  std::uint32_t size() const { return mbuf_->pkt_len; }
  MutableBytes bytes() { return {rte_pktmbuf_mtod(mbuf_, std::uint8_t*), mbuf_->data_len}; }
  ByteView bytes() const { return {rte_pktmbuf_mtod(mbuf_, const std::uint8_t*), mbuf_->data_len}; }
  std::uint8_t* data() { return rte_pktmbuf_mtod(mbuf_, std::uint8_t*); }
  const std::uint8_t* data() const { return rte_pktmbuf_mtod(mbuf_, const std::uint8_t*); }

  Meta& meta() { return *static_cast<Meta*>(rte_mbuf_to_priv(mbuf_)); }
  const Meta& meta() const { return *static_cast<const Meta*>(rte_mbuf_to_priv(mbuf_)); }

  // A header of the wire at an offset that parse has checked.
  template <typename Header>
  Header& at(std::uint16_t offset) {
    DCHECK(offset + sizeof(Header) <= mbuf_->data_len);
    return *reinterpret_cast<Header*>(data() + offset);
  }
  template <typename Header>
  const Header& at(std::uint16_t offset) const {
    DCHECK(offset + sizeof(Header) <= mbuf_->data_len);
    return *reinterpret_cast<const Header*>(data() + offset);
  }

 private:
  rte_mbuf* mbuf_ = nullptr;
};
static_assert(sizeof(Packet) == sizeof(void*));

// Whether this segment's bytes may be changed in place: no other descriptor refers to its data.
inline bool sole_owner(const rte_mbuf* segment) {
  const rte_mbuf* owner = RTE_MBUF_CLONED(segment) ? rte_mbuf_from_indirect(const_cast<rte_mbuf*>(segment)) : segment;
  return rte_mbuf_refcnt_read(owner) == 1 && rte_mbuf_refcnt_read(segment) == 1;
}

// The end of a packet that is lost rather than consumed. The reason is a counter whose name starts with drop_.
inline void drop(Packet packet, Counter reason, Counters& counters) { counters.add(reason); }

}  // namespace sluice

// Tested in tests/unit/dataplane/packet/chain_test.cc, tests/unit/dataplane/packet/tx_queue_test.cc.
