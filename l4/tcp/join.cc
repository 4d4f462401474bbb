#include "l4/tcp/join.h"

namespace sluice::tcp {

namespace {

constexpr std::uint32_t joined_max = 65'535 - 256;  // with any headers: Meta's sizes and an IP packet's have 16 bits

}  // namespace

std::size_t join(Packet& head, Segment& s, std::span<Packet> behind) {
  if (s.flags != flag_ack || s.size == 0 || s.ecn == EcnField::marked) return 0;
  rte_mbuf* first = head.get();
  rte_mbuf* last = rte_pktmbuf_lastseg(first);
  std::size_t taken = 0;
  for (bool end = false; !end && taken < behind.size(); ++taken) {
    const Meta& meta = behind[taken].meta();
    const std::uint32_t size = meta.payload_size;
    if (!meta.continues || size > s.piece || s.size + size > joined_max) break;
    end = size < s.piece || meta.tcp_flags & flag_psh;
    rte_mbuf* more = behind[taken].release();
    more->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
    rte_pktmbuf_adj(more, meta.payload_offset);
    last->next = more;
    last = more;
    s.size += size;
  }
  first->nb_segs = static_cast<std::uint16_t>(first->nb_segs + taken);
  first->pkt_len = head.meta().payload_offset + s.size;
  head.meta().payload_size = static_cast<std::uint16_t>(s.size);
  return taken;
}

bool gives_way(const Tcb& t, const Segment& s, Seq last) {
  return s.flags == flag_ack && s.size == 0 && s.options.sack_count == 0 && t.mode == Mode::open && s.ack > t.snd_una &&
         last <= t.snd_nxt && !t.transit->board.sacked() && !t.tail_probe_out && !t.mtu_probe_out &&
         !(t.congestion.slow_start() && t.congestion.limited());
}

}  // namespace sluice::tcp
