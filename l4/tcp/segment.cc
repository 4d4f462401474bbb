#include "l4/tcp/segment.h"

#include <algorithm>

#include "l4/tcp/wire.h"

namespace sluice::tcp {

namespace {

void read_option(std::uint8_t kind, Reader body, bool syn, Options& out) {
  const std::size_t size = body.left();
  switch (kind) {
    case option_mss:
      if (!syn || size != 2) return;
      out.has_mss = true;
      out.mss = body.u16();
      return;
    case option_window_scale:
      if (!syn || size != 1) return;
      out.has_window_scale = true;
      out.window_scale = std::min(body.u8(), window_scale_max);
      return;
    case option_sack_permitted:
      if (syn && size == 0) out.sack_permitted = true;
      return;
    case option_timestamps:
      if (size != 8) return;
      out.has_timestamps = true;
      out.ts_value = body.u32();
      out.ts_echo = body.u32();
      return;
    case option_sack:
      if (syn || size == 0 || size % 8 != 0) return;
      out.sack_count = 0;
      while (body.left() && out.sack_count < out.sack.size()) {
        const Seq begin{body.u32()}, end{body.u32()};
        out.sack[out.sack_count++] = {begin, end};
      }
      return;
    default: return;
  }
}

}  // namespace

Options parse_options(ByteView in, bool syn) {
  Options out;
  Reader reader{in};
  while (reader.left()) {
    const std::uint8_t kind = reader.u8();
    if (kind == option_end) break;
    if (kind == option_nop) continue;
    const std::uint8_t length = reader.u8();
    if (length < 2) break;  // a length counts its own two bytes: less would never end
    const ByteView body = reader.view(length - 2u);
    if (!reader.ok()) break;
    read_option(kind, Reader{body}, syn, out);
  }
  return out;
}

std::optional<Segment> parse_segment(const Packet& packet) {
  const Meta& meta = packet.meta();
  const ByteView frame = packet.bytes();
  if (meta.l4_offset + sizeof(WireTcp) > frame.size()) return {};
  const auto& header = packet.at<WireTcp>(meta.l4_offset);
  const std::size_t header_size = (header.data_offset >> 4) * 4u;
  if (header_size < sizeof(WireTcp) || meta.l4_offset + header_size > frame.size()) return {};
  if (meta.payload_offset != meta.l4_offset + header_size) return {};
  if (std::uint32_t{meta.payload_offset} + meta.payload_size > packet.size()) return {};
  Segment out;
  out.seq = Seq{header.seq.get()};
  out.ack = Seq{header.ack.get()};
  out.window = header.window.get();
  out.flags = header.flags;
  const std::uint8_t* ip = frame.data() + meta.l3_offset;
  out.ecn = static_cast<EcnField>((meta.l3 == L3::ip4 ? ip[1] : ip[1] >> 4) & 3);
  out.size = out.piece = meta.payload_size;
  // A port that joins segments says how large they were.
  if (const rte_mbuf* mbuf = packet.get(); mbuf->ol_flags & RTE_MBUF_F_RX_LRO && mbuf->tso_segsz) [[unlikely]]
    out.piece = std::min<std::uint32_t>(out.size, mbuf->tso_segsz);
  if (header_size == sizeof(WireTcp)) return out;
  const ByteView options = frame.subspan(meta.l4_offset + sizeof(WireTcp), header_size - sizeof(WireTcp));
  // The layout that nearly every segment has (RFC 7323 appendix A): NOP NOP TS.
  if (options.size() == 12 && options[0] == option_nop && options[1] == option_nop && options[2] == option_timestamps &&
      options[3] == 10) {
    Reader reader{options.subspan(4)};
    out.options.has_timestamps = true;
    out.options.ts_value = reader.u32();
    out.options.ts_echo = reader.u32();
    return out;
  }
  out.options = parse_options(options, out.has(flag_syn));
  return out;
}

}  // namespace sluice::tcp
