#include "dataplane/packet/parse.h"

#include <rte_prefetch.h>

#include "dataplane/base/hash.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/wire/arp.h"
#include "dataplane/packet/wire/ethernet.h"
#include "dataplane/packet/wire/icmp.h"
#include "dataplane/packet/wire/ip4.h"
#include "dataplane/packet/wire/ip6.h"
#include "dataplane/packet/wire/tcp.h"
#include "dataplane/packet/wire/udp.h"

namespace sluice {

namespace {

enum class Verdict { good, malformed, bad_checksum };

// What the IP layer found, on the way to the transport.
struct Carried {
  IpAddress source, destination;
  std::uint32_t offset = 0;  // of the transport header in the frame
  std::uint32_t end = 0;     // of the packet in the frame
  std::uint32_t fragment_id = 0;
  std::uint32_t size() const { return end - offset; }
};

// Cuts the frame to `size` bytes; they are known to be there.
void trim(rte_mbuf* mbuf, std::uint32_t size) {
  if (mbuf->pkt_len == size) [[likely]]
    return;
  mbuf->pkt_len = size;
  std::uint16_t kept = 1;
  rte_mbuf* segment = mbuf;
  for (; size > segment->data_len; segment = segment->next, ++kept) size -= segment->data_len;
  segment->data_len = static_cast<std::uint16_t>(size);
  rte_mbuf* rest = std::exchange(segment->next, nullptr);
  if (rest) rte_pktmbuf_free(rest);
  mbuf->nb_segs = kept;
}

// Checks and, where a virtual link left it to hardware, fills the checksum of a whole TCP, UDP, ICMP or ICMPv6 message.
Verdict transport_checksum(Packet& packet, const Carried& ip, std::uint32_t size, Be16& field, bool verify) {
  Meta& meta = packet.meta();
  const std::uint64_t hardware = packet.get()->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
  const bool with_ports = meta.protocol == Protocol::tcp || meta.protocol == Protocol::udp;
  if (meta.protocol == Protocol::udp && field.raw() == 0) {
    meta.l4_checksum_good = meta.l3 == L3::ip4;  // RFC 768: none was made; RFC 8200 8.1 does not allow that
    return meta.l4_checksum_good ? Verdict::good : Verdict::bad_checksum;
  }
  if (with_ports && hardware == RTE_MBUF_F_RX_L4_CKSUM_GOOD) {
    meta.l4_checksum_good = true;
    return Verdict::good;
  }
  const Sum start =
      meta.protocol == Protocol::icmp ? 0 : add_pseudo_header(0, ip.source, ip.destination, meta.protocol, size);
  if (with_ports && hardware == RTE_MBUF_F_RX_L4_CKSUM_NONE) {
    field = Be16{};
    field = udp_checksum(add_segments(start, packet.get(), ip.offset, size));
    meta.l4_checksum_good = true;
    return Verdict::good;
  }
  if (!verify && hardware != RTE_MBUF_F_RX_L4_CKSUM_BAD) return Verdict::good;
  meta.l4_checksum_good = fold(add_segments(start, packet.get(), ip.offset, size)) == 0xffff;
  return meta.l4_checksum_good ? Verdict::good : Verdict::bad_checksum;
}

// Where the transport's checksum covers all there is, it is checked; a fragment shows only a part.
Verdict checked(Packet& packet, const Carried& ip, std::uint32_t size, Be16& field, bool verify) {
  if (packet.meta().fragment) return Verdict::good;
  return transport_checksum(packet, ip, size, field, verify);
}

Verdict parse_tcp(Packet& packet, const Carried& ip, bool verify) {
  Meta& meta = packet.meta();
  if (ip.size() < sizeof(wire::Tcp) || ip.offset + sizeof(wire::Tcp) > packet.bytes().size()) return Verdict::malformed;
  auto& tcp = packet.at<wire::Tcp>(meta.l4_offset);
  const std::uint16_t header_size = tcp.header_size();
  if (header_size < sizeof tcp || header_size > ip.size() || ip.offset + header_size > packet.bytes().size())
    return Verdict::malformed;
  meta.source_port = tcp.source.get();
  meta.destination_port = tcp.destination.get();
  meta.tcp_flags = tcp.flags;
  meta.payload_offset = meta.l4_offset + header_size;
  meta.payload_size = static_cast<std::uint16_t>(ip.size() - header_size);
  return checked(packet, ip, ip.size(), tcp.checksum, verify);
}

Verdict parse_udp(Packet& packet, const Carried& ip, bool verify) {
  Meta& meta = packet.meta();
  if (ip.size() < sizeof(wire::Udp) || ip.offset + sizeof(wire::Udp) > packet.bytes().size()) return Verdict::malformed;
  auto& udp = packet.at<wire::Udp>(meta.l4_offset);
  const std::uint32_t length = meta.fragment ? ip.size() : udp.length.get();
  if (length < sizeof udp || length > ip.size()) return Verdict::malformed;
  meta.source_port = udp.source.get();
  meta.destination_port = udp.destination.get();
  meta.payload_offset = meta.l4_offset + sizeof udp;
  meta.payload_size = static_cast<std::uint16_t>(length - sizeof udp);
  return checked(packet, ip, length, udp.checksum, verify);
}

Verdict parse_icmp(Packet& packet, const Carried& ip, bool verify) {
  Meta& meta = packet.meta();
  const bool belongs = (meta.protocol == Protocol::icmp) == (meta.l3 == L3::ip4);
  if (!belongs || ip.size() < sizeof(wire::Icmp) || ip.offset + sizeof(wire::Icmp) > packet.bytes().size())
    return Verdict::malformed;
  meta.payload_offset = meta.l4_offset + sizeof(wire::Icmp);
  meta.payload_size = static_cast<std::uint16_t>(ip.size() - sizeof(wire::Icmp));
  return checked(packet, ip, ip.size(), packet.at<wire::Icmp>(meta.l4_offset).checksum, verify);
}

Verdict parse_transport(Packet& packet, const Carried& ip, bool verify) {
  Meta& meta = packet.meta();
  meta.l4_offset = meta.payload_offset = static_cast<std::uint16_t>(ip.offset);
  meta.payload_size = static_cast<std::uint16_t>(ip.size());
  trim(packet.get(), ip.end);
  Verdict verdict = Verdict::good;
  if (!meta.later_fragment) {
    switch (meta.protocol) {
      case Protocol::tcp: verdict = parse_tcp(packet, ip, verify); break;
      case Protocol::udp: verdict = parse_udp(packet, ip, verify); break;
      case Protocol::icmp:
      case Protocol::icmp6: verdict = parse_icmp(packet, ip, verify); break;
      case Protocol::none: break;
    }
  }
  // Fragments meet on the worker that this hash names; everything else where its flow lives.
  const auto first = meta.fragment ? static_cast<std::uint16_t>(ip.fragment_id >> 16) : meta.source_port;
  const auto second = meta.fragment ? static_cast<std::uint16_t>(ip.fragment_id) : meta.destination_port;
  meta.hash = tuple_hash(ip.source, first, ip.destination, second, meta.protocol);
  return verdict;
}

// Marks a fragment; false when its place in the whole cannot be.
bool mark_fragment(Meta& meta, std::uint32_t offset, bool more, std::uint32_t size) {
  meta.fragment = true;
  meta.later_fragment = offset != 0;
  return offset + size <= 0xffff && !(more && size % 8) && size > 0;
}

Verdict parse_ip4(Packet& packet, bool verify) {
  Meta& meta = packet.meta();
  rte_mbuf* mbuf = packet.get();
  if (meta.l3_offset + sizeof(wire::Ip4) > mbuf->data_len) return Verdict::malformed;
  const auto& header = packet.at<wire::Ip4>(meta.l3_offset);
  const std::uint16_t header_size = header.header_size(), total = header.total_length.get();
  if (header.version() != 4 || header_size < sizeof header || total < header_size) return Verdict::malformed;
  if (meta.l3_offset + header_size > mbuf->data_len || meta.l3_offset + total > mbuf->pkt_len)
    return Verdict::malformed;
  meta.l3 = L3::ip4;
  meta.protocol = static_cast<Protocol>(header.protocol);

  const std::uint64_t hardware = mbuf->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
  meta.l3_checksum_good = hardware == RTE_MBUF_F_RX_IP_CKSUM_GOOD || hardware == RTE_MBUF_F_RX_IP_CKSUM_NONE;
  if (!meta.l3_checksum_good && (verify || hardware == RTE_MBUF_F_RX_IP_CKSUM_BAD)) {
    meta.l3_checksum_good = fold(add_bytes(0, packet.bytes().subspan(meta.l3_offset, header_size))) == 0xffff;
    if (!meta.l3_checksum_good) return Verdict::bad_checksum;
  }
  const Carried ip{header.source_address(), header.destination_address(), std::uint32_t{meta.l3_offset} + header_size,
                   std::uint32_t{meta.l3_offset} + total, header.id.get()};
  if (header.is_fragment()) [[unlikely]] {
    const std::uint16_t fragment = header.fragment.get();
    const bool more = fragment & wire::Ip4::more_fragments;
    if (!mark_fragment(meta, (fragment & wire::Ip4::offset_mask) * 8u, more, ip.size())) return Verdict::malformed;
  }
  return parse_transport(packet, ip, verify);
}

// Walks the extension headers from `next` on; moves ip.offset behind them. False: malformed.
[[gnu::noinline]] bool walk_extensions(Packet& packet, Carried& ip, std::uint8_t& next) {
  Meta& meta = packet.meta();
  const std::uint32_t end = std::min<std::uint32_t>(ip.end, packet.get()->data_len);
  for (unsigned count = 0; count <= extension_headers_max; ++count) {
    const auto kind = static_cast<wire::Ip6Extension>(next);
    if (kind != wire::Ip6Extension::hop_by_hop && kind != wire::Ip6Extension::routing &&
        kind != wire::Ip6Extension::fragment && kind != wire::Ip6Extension::destination_options)
      return true;
    if (ip.offset + 8 > end || (kind == wire::Ip6Extension::hop_by_hop && count > 0)) return false;
    const auto at = static_cast<std::uint16_t>(ip.offset);
    if (kind == wire::Ip6Extension::fragment) {
      const auto& header = packet.at<wire::Ip6Fragment>(at);
      if (meta.fragment) return false;
      ip.offset += sizeof header;
      ip.fragment_id = header.id.get();
      next = header.next_header;
      const bool atomic = header.offset() == 0 && !header.more();  // RFC 6946: a whole packet
      if (!atomic && !mark_fragment(meta, header.offset(), header.more(), ip.size())) return false;
      if (meta.later_fragment) return true;
      continue;
    }
    const auto& header = packet.at<wire::Ip6Options>(at);
    if (ip.offset + header.size() > end) return false;
    if (kind == wire::Ip6Extension::routing) {
      const auto& routing = packet.at<wire::Ip6Routing>(at);
      if (routing.type == 0 && routing.segments_left > 0) return false;
    }
    ip.offset += header.size();
    next = header.next_header;
  }
  return false;
}

Verdict parse_ip6(Packet& packet, bool verify) {
  Meta& meta = packet.meta();
  rte_mbuf* mbuf = packet.get();
  if (meta.l3_offset + sizeof(wire::Ip6) > mbuf->data_len) return Verdict::malformed;
  const auto& header = packet.at<wire::Ip6>(meta.l3_offset);
  const std::uint32_t start = meta.l3_offset + sizeof header, end = start + header.payload_length.get();
  if (header.version() != 6 || end > mbuf->pkt_len) return Verdict::malformed;
  meta.l3 = L3::ip6;
  meta.l3_checksum_good = true;  // it has none
  Carried ip{header.source_address(), header.destination_address(), start, end, 0};
  std::uint8_t next = header.next_header;
  if (!walk_extensions(packet, ip, next)) return Verdict::malformed;
  meta.protocol = static_cast<Protocol>(next);
  return parse_transport(packet, ip, verify);
}

Verdict parse_frame(Packet& packet, bool verify) {
  rte_mbuf* mbuf = packet.get();
  Meta& meta = packet.meta();
  meta = {.port = meta.port};
  if (mbuf->nb_segs > 1 && mbuf->data_len < 256 && rte_pktmbuf_linearize(mbuf) != 0) [[unlikely]]
    return Verdict::malformed;
  if (mbuf->data_len < sizeof(wire::Ethernet)) return Verdict::malformed;
  const auto& ethernet = packet.at<wire::Ethernet>(0);
  auto type = static_cast<wire::EtherType>(ethernet.type.get());
  meta.l3_offset = wire::ethernet_min;
  if (type == wire::EtherType::vlan) {
    if (mbuf->data_len < wire::ethernet_max) return Verdict::malformed;
    const auto& tag = packet.at<wire::VlanTag>(wire::ethernet_min);
    meta.vlan = tag.id();
    meta.l3_offset = wire::ethernet_max;
    type = static_cast<wire::EtherType>(tag.type.get());
  }
  switch (type) {
    case wire::EtherType::ip4: return parse_ip4(packet, verify);
    case wire::EtherType::ip6: return parse_ip6(packet, verify);
    case wire::EtherType::arp:
      if (meta.l3_offset + sizeof(wire::Arp) > mbuf->data_len) return Verdict::malformed;
      meta.l3 = L3::arp;
      return Verdict::good;
    case wire::EtherType::vlan: break;  // stacked tags are the kernel's
  }
  return Verdict::good;
}

template <typename Word>
bool same(const std::uint8_t* a, const std::uint8_t* b, std::size_t at) {
  return load<Word>(a + at) == load<Word>(b + at);
}

// Whether two IP headers say the same but for what each packet has of its own (length, sum, IPv4's id). `size` is that
// of the packet whose header is `b`.
bool same_ip(const std::uint8_t* a, const std::uint8_t* b, L3 l3, std::size_t header_size, std::uint32_t& size) {
  if (l3 == L3::ip4) {
    size = reinterpret_cast<const wire::Ip4*>(b)->total_length.get();
    return header_size == sizeof(wire::Ip4) && same<std::uint16_t>(a, b, 0) &&
           same<std::uint32_t>(a, b, offsetof(wire::Ip4, fragment)) &&
           same<std::uint64_t>(a, b, offsetof(wire::Ip4, source));
  }
  size = std::uint32_t{sizeof(wire::Ip6)} + reinterpret_cast<const wire::Ip6*>(b)->payload_length.get();
  return header_size == sizeof(wire::Ip6) && same<std::uint32_t>(a, b, 0) &&
         same<std::uint16_t>(a, b, offsetof(wire::Ip6, next_header)) &&
         std::memcmp(a + offsetof(wire::Ip6, source), b + offsetof(wire::Ip6, source), 32) == 0;
}

// Whether a frame not parsed yet goes on where the packet before it stops (parse.h). Then what was found of that one
// holds of it too, but for the sums. `size`: of its payload.
bool continues(const Packet& before, const Packet& packet, std::uint32_t& size) {
  const Meta& known = before.meta();
  const rte_mbuf* mbuf = packet.get();
  const std::uint16_t ip_at = known.l3_offset, tcp_at = known.l4_offset, payload_at = known.payload_offset;
  if (known.protocol != Protocol::tcp || known.tcp_flags != wire::Tcp::ack || known.fragment ||
      known.port != packet.meta().port || mbuf->nb_segs != 1 || mbuf->data_len < payload_at)
    return false;
  const std::uint8_t *a = before.data(), *b = packet.data();
  std::uint32_t ip_size = 0;
  if (!same<std::uint32_t>(a, b, tcp_at) ||  // ports first: they tell most flows apart
      !same<std::uint64_t>(a, b, 0) || !same<std::uint64_t>(a, b, 6) || !same<std::uint64_t>(a, b, ip_at - 8u) ||
      !same_ip(a + ip_at, b + ip_at, known.l3, tcp_at - ip_at, ip_size) || ip_at + ip_size < payload_at ||
      ip_at + ip_size > mbuf->data_len)
    return false;
  size = ip_at + ip_size - payload_at;
  const auto& one = before.at<wire::Tcp>(tcp_at);
  const auto& other = packet.at<wire::Tcp>(tcp_at);
  if (other.sequence.get() != one.sequence.get() + known.payload_size || other.offset != one.offset ||
      (other.flags | wire::Tcp::psh) != (wire::Tcp::ack | wire::Tcp::psh) ||
      std::memcmp(&other + 1, &one + 1, std::size_t{payload_at} - tcp_at - sizeof one) != 0)
    return false;
  if (known.payload_size)
    return size && other.acknowledgement.raw() == one.acknowledgement.raw() && other.window.raw() == one.window.raw();
  return size == 0 && other.flags == one.flags &&
         static_cast<std::int32_t>(other.acknowledgement.get() - one.acknowledgement.get()) > 0;
}

bool hardware_says_good(const rte_mbuf* mbuf) {
  return (mbuf->ol_flags & (RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_L4_CKSUM_MASK)) ==
         (RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD);
}

// What parse would find of a packet that continues the one before it.
void take_over(const Packet& before, Packet& packet, std::uint32_t size) {
  Meta& meta = packet.meta() = before.meta();
  meta.l3_checksum_good = meta.l4_checksum_good = true;
  meta.payload_size = static_cast<std::uint16_t>(size);
  meta.tcp_flags = packet.at<wire::Tcp>(meta.l4_offset).flags;
  trim(packet.get(), meta.payload_offset + size);
}

}  // namespace

bool parse(Packet& packet, bool verify_checksums, Counters& counters) {
  const Verdict verdict = parse_frame(packet, verify_checksums);
  if (verdict == Verdict::good) [[likely]]
    return true;
  drop(std::move(packet), verdict == Verdict::malformed ? Counter::drop_malformed : Counter::drop_bad_checksum,
       counters);
  return false;
}

std::size_t parse(std::span<Packet> burst, bool verify_checksums, Counters& counters) {
  // The mbuf comes first, then, when that is there, what it points to.
  constexpr std::size_t mbuf_ahead = 8, data_ahead = 4;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < burst.size(); ++i) {
    if (i + mbuf_ahead < burst.size()) rte_prefetch0(burst[i + mbuf_ahead].get());
    if (i + data_ahead < burst.size()) {
      rte_prefetch0(burst[i + data_ahead].data());
      rte_prefetch0(&burst[i + data_ahead].meta());
    }
    Packet packet = std::move(burst[i]);
    std::uint32_t size = 0;
    const bool more = kept > 0 && continues(burst[kept - 1], packet, size);
    if (more && hardware_says_good(packet.get())) take_over(burst[kept - 1], packet, size);
    else if (!parse(packet, verify_checksums, counters)) continue;
    packet.meta().continues = more;
    burst[kept++] = std::move(packet);
  }
  return kept;
}

}  // namespace sluice
