#include "perf/world/frame.h"

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/wire/arp.h"
#include "dataplane/packet/wire/ethernet.h"
#include "dataplane/packet/wire/ip4.h"

namespace sluice::perf {

namespace {

constexpr std::size_t ip_at = sizeof(wire::Ethernet), tcp_at = ip_at + sizeof(wire::Ip4), frame_min = 60;

bool right_checksums(const rte_mbuf* frame, const wire::Ip4& ip, const wire::Tcp& tcp, bool left_to_port) {
  // A segment that the port shall cut has lengths of its own: the pseudo-header is summed without one.
  const bool cut = frame->ol_flags & RTE_MBUF_F_TX_TCP_SEG;
  const std::uint32_t size = ip.total_length.get() - sizeof ip;
  const Sum pseudo = add_pseudo_header(0, ip.source_address(), ip.destination_address(), Protocol::tcp, cut ? 0 : size);
  const bool ip_good = (left_to_port && frame->ol_flags & RTE_MBUF_F_TX_IP_CKSUM) ||
                       fold(add_bytes(0, {reinterpret_cast<const std::uint8_t*>(&ip), sizeof ip})) == 0xffff;
  if (left_to_port && (cut || (frame->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_TCP_CKSUM))
    return ip_good && tcp.checksum.raw() == fold(pseudo);
  return ip_good && fold(add_segments(pseudo, frame, tcp_at, size)) == 0xffff;
}

// The timestamp and the window scale of a segment's options. False: no timestamp.
bool read_options(ByteView options, SegmentIn& out) {
  bool found = false;
  for (std::size_t at = 0; at < options.size() && options[at] != 0;) {
    if (options[at] == 1) {
      ++at;
      continue;
    }
    if (at + 1 >= options.size() || options[at + 1] < 2 || at + options[at + 1] > options.size()) return false;
    if (options[at] == 8 && options[at + 1] == 10) {
      Be32 value;
      std::memcpy(&value, &options[at + 2], 4);
      out.stamp = value.get();
      found = true;
    }
    if (options[at] == 3 && options[at + 1] == 3) out.window_scale = options[at + 2];
    at += options[at + 1];
  }
  return found;
}

}  // namespace

std::string_view to_text(Unread why) {
  constexpr std::string_view names[] = {"no TCP", "a cut packet", "a wrong checksum", "no timestamp"};
  return names[static_cast<std::size_t>(why)];
}

std::expected<SegmentIn, Unread> read_segment(const rte_mbuf* frame, bool left_to_port) {
  if (frame->data_len < tcp_at) return std::unexpected(Unread::cut);
  const auto* data = rte_pktmbuf_mtod(frame, const std::uint8_t*);
  const auto& ethernet = *reinterpret_cast<const wire::Ethernet*>(data);
  const auto& ip = *reinterpret_cast<const wire::Ip4*>(data + ip_at);
  if (ethernet.type.get() != static_cast<std::uint16_t>(wire::EtherType::ip4) || ip.protocol != 6)
    return std::unexpected(Unread::not_tcp);
  if (frame->data_len < tcp_at + sizeof(wire::Tcp)) return std::unexpected(Unread::cut);
  const auto& tcp = *reinterpret_cast<const wire::Tcp*>(data + tcp_at);
  const std::size_t payload_at = tcp_at + tcp.header_size();
  const std::size_t end = ip_at + ip.total_length.get();
  if (end > frame->pkt_len || payload_at > std::min<std::size_t>(end, frame->data_len))
    return std::unexpected(Unread::cut);
  if (!right_checksums(frame, ip, tcp, left_to_port)) return std::unexpected(Unread::checksum);
  SegmentIn in{.frame = frame,
               .from_mac = ethernet.source,
               .to_mac = ethernet.destination,
               .from = ip.source.get(),
               .to = ip.destination.get(),
               .from_port = tcp.source.get(),
               .to_port = tcp.destination.get(),
               .sequence = tcp.sequence.get(),
               .acknowledgement = tcp.acknowledgement.get(),
               .window = tcp.window.get(),
               .flags = tcp.flags,
               .payload_at = static_cast<std::uint32_t>(payload_at),
               .payload_size = static_cast<std::uint32_t>(end - payload_at)};
  if (!read_options({data + tcp_at + sizeof tcp, tcp.header_size() - sizeof tcp}, in) && !in.has(wire::Tcp::rst))
    return std::unexpected(Unread::no_timestamp);
  return in;
}

Packet write_segment(Buffers& buffers, const Station& from, const Station& to, const SegmentOut& segment,
                     std::string_view payload, bool checksums) {
  const bool syn = segment.flags & wire::Tcp::syn;
  const std::size_t header = sizeof(wire::Tcp) + (syn ? 20 : 12), size = tcp_at + header + payload.size();
  Packet packet = buffers.make();
  if (!packet) return packet;
  auto* at = reinterpret_cast<std::uint8_t*>(
      rte_pktmbuf_append(packet.get(), static_cast<std::uint16_t>(std::max(size, frame_min))));
  std::memset(at, 0, std::max(tcp_at + header, frame_min));
  new (at) wire::Ethernet{to.mac, from.mac, Be16{static_cast<std::uint16_t>(wire::EtherType::ip4)}};
  auto& ip = *new (at + ip_at) wire::Ip4{};
  ip.version_ihl = 0x45;
  ip.total_length = Be16{static_cast<std::uint16_t>(size - ip_at)};
  ip.fragment = Be16{wire::Ip4::dont_fragment};
  ip.ttl = 64;
  ip.protocol = 6;
  ip.source = Be32{from.address};
  ip.destination = Be32{to.address};
  auto& tcp = *new (at + tcp_at) wire::Tcp{};
  tcp.source = Be16{from.port};
  tcp.destination = Be16{to.port};
  tcp.sequence = Be32{segment.sequence};
  tcp.acknowledgement = Be32{segment.acknowledgement};
  tcp.offset = static_cast<std::uint8_t>(header / 4 << 4);
  tcp.flags = segment.flags;
  tcp.window = Be16{syn ? std::uint16_t{64'240} : segment.window};
  std::uint8_t* options = at + tcp_at + sizeof tcp;
  constexpr std::uint8_t syn_options[] = {2, 4, 0x05, 0xb4, 4, 2}, scale[] = {1, 3, 3, peer_window_scale};
  if (syn) {
    std::memcpy(options, syn_options, sizeof syn_options);
    std::memcpy(options + 16, scale, sizeof scale);
    options += sizeof syn_options;
  } else {
    options[0] = options[1] = 1;
    options += 2;
  }
  options[0] = 8, options[1] = 10;
  const Be32 stamps[] = {Be32{segment.stamp}, Be32{segment.echo}};
  std::memcpy(options + 2, stamps, sizeof stamps);
  if (!payload.empty()) std::memcpy(at + tcp_at + header, payload.data(), payload.size());
  if (checksums) {
    ip.checksum = checksum(add_bytes(0, {at + ip_at, sizeof ip}));
    const auto l4_size = static_cast<std::uint32_t>(size - tcp_at);
    const Sum pseudo = add_pseudo_header(0, ip.source_address(), ip.destination_address(), Protocol::tcp, l4_size);
    tcp.checksum = checksum(add_bytes(pseudo, {at + tcp_at, l4_size}));
  } else {
    packet.get()->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
  }
  return packet;
}

std::uint32_t arp_asks_for(const rte_mbuf* frame) {
  if (frame->data_len < sizeof(wire::Ethernet) + sizeof(wire::Arp)) return 0;
  const auto* data = rte_pktmbuf_mtod(frame, const std::uint8_t*);
  const auto& ethernet = *reinterpret_cast<const wire::Ethernet*>(data);
  const auto& arp = *reinterpret_cast<const wire::Arp*>(data + sizeof(wire::Ethernet));
  const bool asks = ethernet.type.get() == static_cast<std::uint16_t>(wire::EtherType::arp) &&
                    arp.operation.get() == wire::Arp::request && arp.sender.get() != arp.target.get();
  return asks ? arp.target.get() : 0;
}

Packet answer_arp(Buffers& buffers, const rte_mbuf* frame, const MacAddress& mac) {
  if (!arp_asks_for(frame)) return {};
  const auto& arp = *rte_pktmbuf_mtod_offset(frame, const wire::Arp*, sizeof(wire::Ethernet));
  Packet packet = buffers.make();
  if (!packet) return packet;
  auto* at = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(packet.get(), frame_min));
  std::memset(at, 0, frame_min);
  new (at) wire::Ethernet{arp.sender_mac, mac, Be16{static_cast<std::uint16_t>(wire::EtherType::arp)}};
  new (at + sizeof(wire::Ethernet)) wire::Arp{
      arp.hardware_type, arp.protocol_type, 6, 4, Be16{wire::Arp::reply}, mac, arp.target, arp.sender_mac, arp.sender};
  return packet;
}

}  // namespace sluice::perf
