#include "perf/l4/generator.h"

#include <algorithm>
#include <tuple>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/wire/arp.h"
#include "dataplane/packet/wire/ip4.h"
#include "dataplane/packet/wire/udp.h"

namespace sluice::perf {

namespace {

constexpr std::size_t ip_at = sizeof(wire::Ethernet), udp_at = ip_at + sizeof(wire::Ip4),
                      payload_at = udp_at + sizeof(wire::Udp);
constexpr std::size_t udp_size = Generator::frame_size - udp_at;

// What a big-endian number adds to a sum of words as they stand in memory.
std::uint32_t words_of(std::uint32_t network_order) { return (network_order & 0xffff) + (network_order >> 16); }
std::uint16_t finish(std::uint32_t sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

template <typename T>
void store(std::uint8_t* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

}  // namespace

Generator::Generator(std::vector<std::uint32_t> flows, Buffers& buffers, bool hardware_checksums)
    : buffers_(buffers),
      flows_(std::move(flows)),
      translations_(flows_.size()),
      rx_flags_(hardware_checksums ? RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD : 0) {
  caps_ = {.mac = NatWorld::node_mac,
           .mtu = 1500,
           .queues = 1,
           .rss = false,
           .tx_ip4_checksum = hardware_checksums,
           .tx_l4_checksum = hardware_checksums,
           .rx_checksum = hardware_checksums,
           .tso = false,
           .multi_segment = true,
           .shared_buffers = true};
  new (template_.data())
      wire::Ethernet{NatWorld::node_mac, NatWorld::client_mac, Be16{static_cast<std::uint16_t>(wire::EtherType::ip4)}};
  auto& ip = *new (template_.data() + ip_at) wire::Ip4{};
  ip.version_ihl = 0x45;
  ip.total_length = Be16{frame_size - ip_at};
  ip.ttl = NatWorld::hop_limit;
  ip.protocol = static_cast<std::uint8_t>(Protocol::udp);
  ip.destination = Be32{NatWorld::vip};
  auto& udp = *new (template_.data() + udp_at) wire::Udp{};
  udp.destination = Be16{NatWorld::vip_port};
  udp.length = Be16{udp_size};
  std::memset(template_.data() + payload_at, 0x5a, frame_size - payload_at);
  store<std::uint32_t>(template_.data() + payload_at, 0);
  ip_sum_ = fold(add_bytes(0, {template_.data() + ip_at, sizeof ip}));
  const Sum pseudo =
      add_pseudo_header(0, IpAddress::from_v4(0), IpAddress::from_v4(NatWorld::vip), Protocol::udp, udp_size);
  udp_sum_ = fold(add_bytes(pseudo, {template_.data() + udp_at, udp_size}));
  for (free_count_ = 0; free_count_ < ring; ++free_count_) free_[free_count_] = buffers_.make().release();
}

Generator::~Generator() {
  for (; free_count_; --free_count_) free_buffers(free_[free_head_++ % ring]);
  for (; replies_; --replies_) free_buffers(reply_[replies_ - 1]);
}

rte_mbuf* Generator::take_buffer() {
  if (free_count_ == 0) [[unlikely]]
    return buffers_.make().release();
  rte_mbuf* frame = free_[free_head_++ % ring];
  --free_count_;
  frame->data_off = RTE_PKTMBUF_HEADROOM;
  return frame;
}

// A frame that nobody else holds goes round again.
void Generator::give_buffer(rte_mbuf* frame) {
  if (free_count_ == ring || !RTE_MBUF_DIRECT(frame) || rte_mbuf_refcnt_read(frame) != 1 || frame->nb_segs != 1)
      [[unlikely]]
    return free_buffers(frame);
  free_[(free_head_ + free_count_++) % ring] = frame;
}

void Generator::make(rte_mbuf* frame, std::uint32_t place) {
  const std::uint32_t flow = flows_[place];
  const std::uint32_t address = __builtin_bswap32(NatWorld::client_address(flow));
  const std::uint16_t port = __builtin_bswap16(NatWorld::client_port(flow));
  frame->data_len = frame_size;
  frame->pkt_len = frame_size;
  frame->ol_flags = rx_flags_;
  frame->tx_offload = 0;
  auto* at = rte_pktmbuf_mtod(frame, std::uint8_t*);
  std::memcpy(at, template_.data(), 64);
  store(at + ip_at + offsetof(wire::Ip4, source), address);
  store(at + udp_at, port);
  store(at + payload_at, place);
  const std::uint32_t from = words_of(address);
  store(at + ip_at + offsetof(wire::Ip4, checksum), finish(ip_sum_ + from));
  const std::uint16_t sum = finish(udp_sum_ + from + port + words_of(place));
  store(at + udp_at + offsetof(wire::Udp, checksum), sum ? sum : std::uint16_t{0xffff});
}

std::uint16_t Generator::receive(std::uint16_t, std::span<rte_mbuf*> out, Nanos) {
  std::uint16_t n = 0;
  while (replies_ > 0 && n < out.size()) out[n++] = reply_[--replies_];
  const auto size = static_cast<std::uint32_t>(flows_.size());
  for (; n < out.size() && left_ > 0; ++n, --left_) {
    rte_mbuf* frame = take_buffer();
    if (!frame) [[unlikely]]
      break;
    std::uint32_t place = next_;
    if (random_) {
      // xorshift64*, its upper half scaled to the number of flows.
      state_ ^= state_ >> 12, state_ ^= state_ << 25, state_ ^= state_ >> 27;
      place = static_cast<std::uint32_t>((state_ * 0x2545f4914f6cdd1d >> 32) * size >> 32);
    } else if (++next_ == size) {
      next_ = 0;
    }
    if (free_count_ >= 4) rte_prefetch0(rte_pktmbuf_mtod(free_[(free_head_ + 3) % ring], std::uint8_t*));
    make(frame, place);
    out[n] = frame;
    ++sent_;
  }
  return n;
}

std::uint16_t Generator::transmit(std::uint16_t, std::span<rte_mbuf*> frames, Nanos) {
  for (rte_mbuf* frame : frames) {
    const auto* at = rte_pktmbuf_mtod(frame, const std::uint8_t*);
    if (load<std::uint16_t>(at + 12) != 0x0008) [[unlikely]] {
      answer_arp(frame);
      free_buffers(frame);
      continue;
    }
    ++returned_;
    // Hop limit, protocol, checksum, source; destination, ports; length, checksum.
    const std::uint64_t first = load<std::uint64_t>(at + ip_at + 8) * 0xd6e8feb86659fd93;
    const std::uint64_t last =
        load<std::uint64_t>(at + ip_at + 16) ^ std::uint64_t{load<std::uint32_t>(at + udp_at + 4)} << 17;
    hash_ += (first ^ last) * 0x9e3779b97f4a7c15;
    if (checking_) [[unlikely]] {
      ++checked_;
      wrong_ += !verify(frame);
    }
    give_buffer(frame);
  }
  return static_cast<std::uint16_t>(frames.size());
}

bool Generator::verify(const rte_mbuf* frame) {
  if (frame->nb_segs != 1 || frame->data_len != frame_size) return false;
  const auto* at = rte_pktmbuf_mtod(frame, const std::uint8_t*);
  const auto& ethernet = *reinterpret_cast<const wire::Ethernet*>(at);
  const auto& ip = *reinterpret_cast<const wire::Ip4*>(at + ip_at);
  const auto& udp = *reinterpret_cast<const wire::Udp*>(at + udp_at);
  const auto place = load<std::uint32_t>(at + payload_at);
  if (place >= flows_.size() || udp.checksum.raw() == 0) return false;
  Sum sum = add_pseudo_header(0, ip.source_address(), ip.destination_address(), Protocol::udp, udp_size);
  sum = add_bytes(sum, {at + udp_at, udp_size});
  if (fold(sum) != 0xffff || fold(add_bytes(0, {at + ip_at, sizeof ip})) != 0xffff) return false;
  const bool payload = std::memcmp(at + payload_at + 4, template_.data() + payload_at + 4, udp_size - 12) == 0;
  const std::uint32_t backend = ip.destination.get(), local = ip.source.get();
  if (!payload || ip.ttl != NatWorld::hop_limit - 1 || !NatWorld::is_backend(backend) || !NatWorld::is_snat(local))
    return false;
  if (ethernet.destination != NatWorld::backend_mac(backend) || ethernet.source != NatWorld::node_mac) return false;
  if (udp.destination.get() != NatWorld::backend_port || udp.source.get() < NatWorld::snat_low) return false;
  const Translation now{local, backend, udp.source.get(), udp.destination.get()};
  Translation& before = translations_[place];
  if (before.local == 0) before = now;
  return before == now;
}

void Generator::check_unique() {
  std::vector<std::tuple<std::uint32_t, std::uint32_t, std::uint16_t>> all;
  all.reserve(translations_.size());
  for (const Translation& t : translations_)
    if (t.local) all.emplace_back(t.local, t.backend, t.local_port);
  std::ranges::sort(all);
  for (std::size_t i = 1; i < all.size(); ++i) wrong_ += all[i] == all[i - 1];
}

std::uint64_t Generator::backend_hash() const {
  std::uint64_t hash = 0;
  for (std::size_t i = 0; i < flows_.size(); ++i)
    hash += (std::uint64_t{flows_[i]} << 32 | translations_[i].backend) * 0x9e3779b97f4a7c15 >> 7;
  return hash;
}

void Generator::answer_arp(const rte_mbuf* frame) {
  const auto* at = rte_pktmbuf_mtod(frame, const std::uint8_t*);
  const auto& ethernet = *reinterpret_cast<const wire::Ethernet*>(at);
  const auto& arp = *reinterpret_cast<const wire::Arp*>(at + sizeof ethernet);
  const bool asks = ethernet.type.get() == static_cast<std::uint16_t>(wire::EtherType::arp) &&
                    arp.operation.get() == wire::Arp::request && NatWorld::is_backend(arp.target.get());
  if (!asks || replies_ == replies_max) return;
  Packet reply = buffers_.make();
  if (!reply) return;
  const MacAddress mac = NatWorld::backend_mac(arp.target.get());
  auto* out = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(reply.get(), frame_size));
  std::memset(out, 0, frame_size);
  new (out) wire::Ethernet{arp.sender_mac, mac, ethernet.type};
  new (out + sizeof(wire::Ethernet)) wire::Arp{
      arp.hardware_type, arp.protocol_type, 6, 4, Be16{wire::Arp::reply}, mac, arp.target, arp.sender_mac, arp.sender};
  reply_[replies_++] = reply.release();
}

}  // namespace sluice::perf
