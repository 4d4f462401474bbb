#include "l4/tcp/emit.h"

#include "dataplane/packet/cut.h"
#include "dataplane/packet/emit.h"
#include "l4/tcp/wire.h"

namespace sluice::tcp {

namespace {

void write_options(Writer& out, const Header& h) {
  if (h.has_mss) {
    out.u8(option_mss);
    out.u8(4);
    out.u16(h.mss);
  }
  // Padding stands before what it aligns, as Linux and RFC 7323 appendix A have it.
  if (h.sack_permitted) {
    if (!h.has_timestamps) out.u16(option_nop << 8 | option_nop);
    out.u8(option_sack_permitted);
    out.u8(2);
  }
  if (h.has_timestamps) {
    if (!h.sack_permitted) out.u16(option_nop << 8 | option_nop);
    out.u8(option_timestamps);
    out.u8(10);
    out.u32(h.ts_value);
    out.u32(h.ts_echo);
  }
  if (h.has_window_scale) {
    out.u8(option_nop);
    out.u8(option_window_scale);
    out.u8(3);
    out.u8(h.window_scale);
  }
  if (h.sack_count) {
    out.u16(option_nop << 8 | option_nop);
    out.u8(option_sack);
    out.u8(static_cast<std::uint8_t>(2 + 8 * h.sack_count));
    for (unsigned i = 0; i < h.sack_count; ++i) {
      out.u32(h.sack[i].begin.value);
      out.u32(h.sack[i].end.value);
    }
  }
}

// Slices of the queue's buffers behind the header's: of too many, as many as make whole segments. False when
// descriptors ran out.
bool gather(Core& core, rte_mbuf* head, SendQueue& queue, Seq begin, std::uint32_t& size, std::uint32_t segment_size) {
  rte_mbuf* tail = head;
  std::uint32_t offset = 0, left = size, pieces = 0;
  rte_mbuf* segment = queue.locate(begin, offset);
  for (; left > 0 && pieces < payload_pieces_max; segment = segment->next, offset = 0, ++pieces) {
    const std::uint32_t take = std::min<std::uint32_t>(left, segment->data_len - offset);
    Packet slice = core.buffers.slice(segment, offset, take);
    if (!slice) return false;
    if (offset == 0) slice.get()->ol_flags |= leading_slice;  // what was in front of it is acknowledged, or was headers
    tail->next = slice.release();
    tail = tail->next;
    ++head->nb_segs;
    head->pkt_len += take;
    left -= take;
  }
  size -= left;
  if (const std::uint32_t rest = size % segment_size; left > 0 && size > segment_size && rest < tail->data_len) {
    tail->data_len = static_cast<std::uint16_t>(tail->data_len - rest);
    head->pkt_len -= rest;
    size -= rest;
  }
  return true;
}

}  // namespace

std::uint32_t Header::options_size() const {
  return (has_mss ? 4u : 0u) +
         (has_timestamps   ? 12u
          : sack_permitted ? 4u
                           : 0u) +
         (has_window_scale ? 4u : 0u) + (sack_count ? 4u + 8u * sack_count : 0u);
}

Packet make_segment(Core& core, const Key& key, Header header, const Path& path, SendQueue* queue, Seq begin,
                    std::uint32_t& size, std::uint32_t segment_size) {
  Packet packet = core.buffers.make();
  bool whole = static_cast<bool>(packet);
  if (const std::uint32_t asked = size; whole && asked > 0) {
    if (path.gather) {
      whole = gather(core, packet.get(), *queue, begin, size, segment_size);
      if (size < asked) header.flags &= static_cast<std::uint8_t>(~(flag_fin | flag_psh));
    } else {
      DCHECK(size <= buffer_data_size);
      std::uint32_t offset = 0;
      const rte_mbuf* segment = queue->locate(begin, offset);
      packet.get()->data_len = static_cast<std::uint16_t>(size);
      packet.get()->pkt_len = size;
      copy_payload(segment, offset, packet.bytes(), core.counters);
    }
  }
  if (!whole) {
    core.counters.add(Counter::drop_no_buffer);
    return {};
  }
  std::uint8_t option_bytes[40];
  Writer options{option_bytes};
  write_options(options, header);
  DCHECK(options.ok() && options.size() == header.options_size());
  prepend_tcp(packet,
              {.source = key.local, .destination = key.remote, .traffic_class = static_cast<std::uint8_t>(header.ecn)},
              {.source = key.local_port,
               .destination = key.remote_port,
               .sequence = header.seq.value,
               .acknowledgement = header.ack.value,
               .flags = header.flags,
               .window = header.window,
               .options = options.written()},
              static_cast<std::uint16_t>(size > segment_size ? segment_size : 0));
  return packet;
}

}  // namespace sluice::tcp
