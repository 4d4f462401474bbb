#include "tests/sim/cable.h"

#include "dataplane/base/guard.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/wire/ip4.h"
#include "dataplane/packet/wire/tcp.h"
#include "dataplane/port/memory_port.h"

namespace sluice::sim {

namespace {

constexpr std::uint16_t ip_at = 14, tcp_at = 34;

// A frame with TCP over IPv4, both without surprises.
bool is_tcp4(const rte_mbuf* frame) {
  const auto* bytes = rte_pktmbuf_mtod(frame, const std::uint8_t*);
  return frame->data_len >= tcp_at + 20 && bytes[12] == 8 && bytes[13] == 0 && bytes[ip_at] == 0x45 &&
         bytes[ip_at + 9] == 6;
}

std::uint16_t tcp_header_size(const std::uint8_t* frame) {
  return static_cast<std::uint16_t>((frame[tcp_at + 12] >> 4) * 4);
}

// Nothing but an ACK: also what tells that a window has opened.
bool is_bare_ack(const rte_mbuf* frame) {
  if (!is_tcp4(frame)) return false;
  const auto* bytes = rte_pktmbuf_mtod(frame, const std::uint8_t*);
  return bytes[tcp_at + 13] == 0x10 && (bytes[ip_at + 2] << 8 | bytes[ip_at + 3]) == 20 + tcp_header_size(bytes);
}

}  // namespace

Cable::Cable(std::unique_ptr<Port> inner, const CableSpec& spec, Buffers& buffers, std::uint64_t seed)
    : inner_(std::move(inner)), spec_(spec), buffers_(buffers), rng_(seed) {
  caps_ = inner_->caps();
}

std::uint16_t Cable::receive(std::uint16_t queue, std::span<rte_mbuf*> out, Nanos now) {
  if (amid_turn && rng_.chance_ppm(100'000)) {
    const GuardPause management;  // another thread's work, seen from a worker that runs beside it
    amid_turn();
  }
  if (out.size() < 2) return inner_->receive(queue, out, now);
  const std::uint16_t n = inner_->receive(queue, out.first(out.size() / 2), now);
  if (down(now)) {
    for (std::uint16_t i = 0; i < n; ++i) free_buffers(out[i]);
    lost += n;
    return 0;
  }
  std::uint16_t kept = 0;
  for (std::uint16_t i = 0; i < n; ++i) {
    if (is_bare_ack(out[i]) && rng_.chance_ppm(spec_.ack_loss_ppm)) {
      free_buffers(out[i]);
      ++lost;
    } else {
      out[kept++] = out[i];
    }
  }
  std::uint16_t all = kept;
  for (std::uint16_t i = 0; i < kept; ++i)
    if (rng_.chance_ppm(spec_.forge_ppm))
      if (rte_mbuf* forged_frame = forge(out[i])) out[all++] = forged_frame;
  return all;
}

std::uint16_t Cable::transmit(std::uint16_t queue, std::span<rte_mbuf*> frames, Nanos now) {
  if (!down(now)) return inner_->transmit(queue, frames, now);
  for (rte_mbuf* frame : frames) free_buffers(frame);
  lost += frames.size();
  return static_cast<std::uint16_t>(frames.size());
}

// The frame again, without its payload, acknowledging what was never sent: an IPv4 TCP segment as an attacker who
// guessed all but that would make it.
rte_mbuf* Cable::forge(const rte_mbuf* frame) {
  if (!is_tcp4(frame)) return nullptr;
  const auto* from = rte_pktmbuf_mtod(frame, const std::uint8_t*);
  const std::uint8_t flags = from[tcp_at + 13];
  const std::uint16_t header = tcp_header_size(from);
  if (flags & 0x07 || !(flags & 0x10) || frame->data_len < tcp_at + header)
    return nullptr;  // SYN, FIN and RST say more
  Packet copy = copy_frame(frame, buffers_);
  if (!copy) return nullptr;
  rte_mbuf* mbuf = copy.get();
  if (mbuf->nb_segs > 1) return nullptr;
  rte_pktmbuf_trim(mbuf, static_cast<std::uint16_t>(mbuf->data_len - tcp_at - header));
  std::uint8_t* bytes = copy.data();
  const auto total = static_cast<std::uint16_t>(20 + header);
  bytes[ip_at + 2] = static_cast<std::uint8_t>(total >> 8);
  bytes[ip_at + 3] = static_cast<std::uint8_t>(total);
  bytes[tcp_at + 9] = static_cast<std::uint8_t>(bytes[tcp_at + 9] + 2);  // 131,072 beyond
  const auto put = [&](std::uint16_t at, Be16 sum) { std::memcpy(bytes + at, &sum, 2); };
  put(ip_at + 10, Be16{});
  put(ip_at + 10, checksum(add_bytes(0, {bytes + ip_at, 20})));
  put(tcp_at + 16, Be16{});
  const IpAddress source = IpAddress::from_v4_wire(bytes + 26), to = IpAddress::from_v4_wire(bytes + 30);
  put(tcp_at + 16,
      checksum(add_bytes(add_pseudo_header(0, source, to, Protocol::tcp, header), {bytes + tcp_at, header})));
  ++forged;
  return copy.release();
}

}  // namespace sluice::sim
