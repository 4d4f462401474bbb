#include "l4/tcp/join.h"

#include <cstring>

#include "l4/tcp/wire.h"

namespace sluice::tcp {

namespace {

constexpr std::uint32_t joined_max = 65'535 - 256;  // with any headers: Meta's sizes and an IP packet's have 16 bits

// Whether all behind the headers is payload.
bool exact(const Packet& packet) {
  const Meta& meta = packet.meta();
  return packet.size() == std::uint32_t{meta.payload_offset} + meta.payload_size &&
         meta.payload_offset <= packet.get()->data_len;
}

EcnField ecn_of(const Packet& packet) {
  const std::uint8_t* ip = packet.data() + packet.meta().l3_offset;
  return static_cast<EcnField>((packet.meta().l3 == L3::ip4 ? ip[1] : ip[1] >> 4) & 3);
}

}  // namespace

std::size_t join(Packet& head, Segment& s, std::span<Packet> behind) {
  Meta& whole = head.meta();
  if (s.flags != flag_ack || s.size == 0 || s.ecn == EcnField::marked || !exact(head)) return 0;
  const std::uint32_t header_size = whole.payload_offset - whole.l4_offset;
  const auto& header = head.at<WireTcp>(whole.l4_offset);
  rte_mbuf* first = head.get();
  rte_mbuf* last = rte_pktmbuf_lastseg(first);
  std::size_t taken = 0;
  for (Packet& packet : behind) {
    const Meta& meta = packet.meta();
    const std::uint32_t size = meta.payload_size;
    if (size == 0 || size > s.piece || s.size + size > joined_max || meta.l3 != whole.l3 ||
        std::uint32_t{meta.payload_offset} - meta.l4_offset != header_size || !exact(packet) || ecn_of(packet) != s.ecn)
      break;
    const auto& other = packet.at<WireTcp>(meta.l4_offset);
    if (other.seq.get() != (s.seq + s.size).value || other.ack != header.ack ||
        other.data_offset != header.data_offset || (other.flags & ~flag_psh) != flag_ack ||
        other.window != header.window || std::memcmp(&other + 1, &header + 1, header_size - sizeof(WireTcp)) != 0)
      break;
    const bool end = size < s.piece || other.flags & flag_psh;
    rte_mbuf* more = packet.release();
    more->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
    rte_pktmbuf_adj(more, meta.payload_offset);
    last->next = more;
    last = rte_pktmbuf_lastseg(more);
    first->nb_segs = static_cast<std::uint16_t>(first->nb_segs + more->nb_segs);
    first->pkt_len += size;
    s.size += size;
    ++taken;
    if (end) break;
  }
  whole.payload_size = static_cast<std::uint16_t>(s.size);
  return taken;
}

}  // namespace sluice::tcp
