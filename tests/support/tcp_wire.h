// tcp_wire.h - what lies between TCP stacks in tests: an egress that turns packets into the bytes of frames (cutting
// super-segments and filling checksums in, independently of the code under test), a link that delays, loses, doubles,
// reorders and corrupts them by a seeded generator, and the way back from bytes to a received packet.
#pragma once

#include <algorithm>
#include <cstring>
#include <queue>
#include <vector>

#include "dataplane/base/rng.h"
#include "dataplane/packet/buffers.h"
#include "dataplane/packet/parse.h"
#include "l4/tcp/egress.h"

namespace sluice::test {

using Bytes = std::vector<std::uint8_t>;

inline std::uint32_t sum16(const std::uint8_t* at, std::size_t size, std::uint32_t sum = 0) {
  for (std::size_t i = 0; i + 1 < size; i += 2) sum += at[i] << 8 | at[i + 1];
  if (size & 1) sum += at[size - 1] << 8;
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

// Fills the IPv4 and TCP checksums of an IP packet in.
inline void fill_checksums(Bytes& ip) {
  const bool v4 = ip[0] >> 4 == 4;
  const std::size_t header = v4 ? 20 : 40, tcp_size = ip.size() - header;
  if (v4) {
    ip[2] = ip.size() >> 8 & 0xff;
    ip[3] = ip.size() & 0xff;
    ip[10] = ip[11] = 0;
    const std::uint32_t sum = ~sum16(ip.data(), 20) & 0xffff;
    ip[10] = sum >> 8 & 0xff;
    ip[11] = sum & 0xff;
  } else {
    ip[4] = tcp_size >> 8 & 0xff;
    ip[5] = tcp_size & 0xff;
  }
  ip[header + 16] = ip[header + 17] = 0;
  std::uint32_t sum = sum16(&ip[v4 ? 12 : 8], v4 ? 8 : 32, 6 + static_cast<std::uint32_t>(tcp_size));
  sum = ~sum16(&ip[header], tcp_size, sum) & 0xffff;
  ip[header + 16] = sum >> 8 & 0xff;
  ip[header + 17] = sum & 0xff;
}

inline std::uint32_t get32(const std::uint8_t* at) {
  return static_cast<std::uint32_t>(at[0]) << 24 | at[1] << 16 | at[2] << 8 | at[3];
}
inline void put32(std::uint8_t* at, std::uint32_t value) {
  for (int i = 0; i < 4; ++i) at[i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
}

// Collects what TCP sends, as the IP packets that stand on the wire.
class WireEgress final : public tcp::Egress {
 public:
  tcp::Path way{1500, false, true};
  std::vector<Bytes> sent;
  std::uint64_t super_segments = 0;

  tcp::Path path(const IpAddress&, const IpAddress&, tcp::PathCache&) override { return way; }
  void send(Packet packet, const IpAddress& local, const IpAddress&, tcp::PathCache&, Nanos) override {
    Bytes whole;
    for (const rte_mbuf* m = packet.get(); m; m = m->next) {
      const auto* at = rte_pktmbuf_mtod(m, const std::uint8_t*);
      whole.insert(whole.end(), at, at + m->data_len);
    }
    CHECK(whole.size() == packet.size());
    const std::size_t ip = local.is_v4() ? 20 : 40, headers = ip + packet.get()->l4_len;
    CHECK(packet.get()->l3_len == ip && packet.get()->ol_flags & RTE_MBUF_F_TX_TCP_CKSUM);
    if (!(packet.get()->ol_flags & RTE_MBUF_F_TX_TCP_SEG)) {
      CHECK(whole.size() <= way.mtu);
      fill_checksums(whole);
      sent.push_back(std::move(whole));
      return;
    }
    CHECK(way.tso);
    ++super_segments;
    const std::size_t piece = packet.get()->tso_segsz;
    CHECK(headers + piece <= way.mtu);
    for (std::size_t at = headers; at < whole.size(); at += piece) {
      const std::size_t end = std::min(at + piece, whole.size());
      Bytes one(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(headers));
      one.insert(one.end(), whole.begin() + static_cast<std::ptrdiff_t>(at),
                 whole.begin() + static_cast<std::ptrdiff_t>(end));
      put32(&one[ip + 4], get32(&whole[ip + 4]) + static_cast<std::uint32_t>(at - headers));
      if (end < whole.size()) one[ip + 13] &= static_cast<std::uint8_t>(~9);  // PSH and FIN on the last only
      fill_checksums(one);
      sent.push_back(std::move(one));
    }
  }
};

// An IP packet as an Ethernet frame in a fresh buffer, as a port gives it. Empty when no buffer is free.
inline Packet frame_of(const Bytes& ip, Buffers& buffers) {
  Packet packet = buffers.make();
  if (!packet || ip.size() + 14 > buffer_data_size) return {};
  std::uint8_t* at = packet.data();
  std::memset(at, 2, 12);
  at[12] = ip[0] >> 4 == 4 ? 0x08 : 0x86;
  at[13] = ip[0] >> 4 == 4 ? 0x00 : 0xdd;
  std::memcpy(at + 14, ip.data(), ip.size());
  packet.get()->data_len = static_cast<std::uint16_t>(std::max<std::size_t>(ip.size() + 14, 60));  // Ethernet's padding
  packet.get()->pkt_len = packet.get()->data_len;
  packet.meta().port = 0;
  return packet;
}

// The same, parsed. Empty when parse drops it as well.
inline Packet arrive(const Bytes& ip, Buffers& buffers, Counters& counters) {
  Packet packet = frame_of(ip, buffers);
  if (packet) parse(packet, true, counters);
  return packet;
}

struct Impairment {
  Nanos delay{1'000'000}, jitter{};
  std::uint32_t loss_ppm = 0, duplicate_ppm = 0, reorder_ppm = 0, corrupt_ppm = 0;
  std::uint64_t bits_per_second = 0;  // 0: unlimited
  std::size_t queue_packets = 1000;
};

// One direction of a link.
class Link {
 public:
  Link(Impairment impairment, std::uint64_t seed) : impairment_(impairment), rng_(seed) {}

  void push(Bytes packet, Nanos now) {
    if (impairment_.queue_packets == 0 || rng_.chance_ppm(impairment_.loss_ppm)) return void(++lost);
    Nanos at = now;
    if (impairment_.bits_per_second) {
      const Nanos takes{static_cast<std::int64_t>(packet.size() * 8 * 1'000'000'000 / impairment_.bits_per_second)};
      if (free_at_ < now) free_at_ = now;
      if ((free_at_ - now) / takes >= static_cast<std::int64_t>(impairment_.queue_packets)) return void(++lost);
      free_at_ += takes;
      at = free_at_;
    }
    if (rng_.chance_ppm(impairment_.corrupt_ppm)) {
      packet[rng_.below(static_cast<std::uint32_t>(packet.size()))] ^= static_cast<std::uint8_t>(1u << rng_.below(8));
      ++corrupted;
    }
    at += impairment_.delay;
    if (impairment_.jitter > Nanos{})
      at += Nanos{static_cast<std::int64_t>(rng_.below(static_cast<std::uint32_t>(impairment_.jitter.ns)))};
    if (rng_.chance_ppm(impairment_.duplicate_ppm)) {
      queue_.push({at, order_++, packet});
      ++duplicated;
    }
    if (rng_.chance_ppm(impairment_.reorder_ppm)) {
      at += impairment_.delay / 2 + Nanos{2'000'000};
      ++reordered;
    }
    queue_.push({at, order_++, std::move(packet)});
  }
  Nanos next() const { return queue_.empty() ? Nanos::never() : queue_.top().at; }
  // The next packet that has arrived by now, or none.
  Bytes pop(Nanos now) {
    if (queue_.empty() || queue_.top().at > now) return {};
    Bytes out = queue_.top().bytes;
    queue_.pop();
    return out;
  }
  void set(Impairment impairment) { impairment_ = impairment; }
  std::uint64_t lost = 0, duplicated = 0, reordered = 0, corrupted = 0;

 private:
  struct Entry {
    Nanos at;
    std::uint64_t order;
    Bytes bytes;
    bool operator<(const Entry& other) const { return at == other.at ? order > other.order : at > other.at; }
  };
  Impairment impairment_;
  Rng rng_;
  std::priority_queue<Entry> queue_;
  std::uint64_t order_ = 0;
  Nanos free_at_{};
};

}  // namespace sluice::test
