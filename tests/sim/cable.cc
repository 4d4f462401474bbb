#include "tests/sim/cable.h"

#include "dataplane/base/guard.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/emit.h"
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

bool is_ip(const rte_mbuf* frame, bool& is4) {
  const auto* bytes = rte_pktmbuf_mtod(frame, const std::uint8_t*);
  is4 = bytes[12] == 0x08 && bytes[13] == 0x00;
  return frame->data_len >= 42 && (is4 || (bytes[12] == 0x86 && bytes[13] == 0xdd));
}

bool is_tcp(const rte_mbuf* frame) {
  bool is4 = false;
  if (!is_ip(frame, is4)) return false;
  const auto* bytes = rte_pktmbuf_mtod(frame, const std::uint8_t*);
  return is4 ? is_tcp4(frame) : frame->data_len >= ip_at + 60 && bytes[ip_at + 6] == 6;
}

// A 32-bit word and the TCP checksum that covers it.
void change_word(std::uint8_t* tcp, std::uint16_t at, std::uint32_t by) {
  Be32 word;
  Be16 sum;
  std::memcpy(&word, tcp + at, 4);
  std::memcpy(&sum, tcp + 16, 2);
  const Be32 other{word.get() + by};
  ChecksumDelta delta;
  delta.change(word, other);
  delta.apply(sum);
  std::memcpy(tcp + at, &other, 4);
  std::memcpy(tcp + 16, &sum, 2);
}

// Whether it ends what its sender had to say for now.
bool is_tail(const rte_mbuf* frame) {
  if (!is_tcp4(frame)) return false;
  const auto* bytes = rte_pktmbuf_mtod(frame, const std::uint8_t*);
  return bytes[tcp_at + 13] & 0x09 && (bytes[ip_at + 2] << 8 | bytes[ip_at + 3]) > 20 + tcp_header_size(bytes);
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

Cable::~Cable() {
  for (rte_mbuf* frame : to_node_) free_buffers(frame);
}

bool Cable::passes(const rte_mbuf* frame, Nanos now, bool to_node) {
  if (now < spec_.well_from && is_tail(frame) && rng_.chance_ppm(spec_.tail_loss_ppm)) {
    ++tails_lost;
    return false;
  }
  bool is4 = false;
  if (spec_.mtu && now >= spec_.mtu_from && now < spec_.mtu_until &&
      frame->pkt_len > ip_at + std::uint32_t{spec_.mtu} && is_ip(frame, is4)) {
    ++too_big;
    if (spec_.mtu_told && tell(frame, to_node, {3, 4, 2, 0, spec_.mtu, 0}, now)) ++too_big_told;
    return false;
  }
  lie(frame, to_node, now);
  return true;
}

// RFC 5927: blind, it must not be believed; with a number in flight, an MTU must not go below what paths have.
void Cable::lie(const rte_mbuf* frame, bool to_node, Nanos now) {
  if ((!spec_.blind_ppm && !spec_.silly_ppm) || !is_tcp(frame)) return;
  bool is4 = false;
  is_ip(frame, is4);
  const auto* tcp = rte_pktmbuf_mtod(frame, const std::uint8_t*) + (is4 ? tcp_at : ip_at + 40);
  const bool opens = tcp[13] & 0x02;
  if (opens && rng_.chance_ppm(spec_.blind_ppm)) lies += tell(frame, to_node, {3, 1, 1, 3, 0, 0x40000000}, now);
  const auto mtu = static_cast<std::uint16_t>(1 + rng_.below(is4 ? 500 : 1'200));
  if (!opens && rng_.chance_ppm(spec_.silly_ppm)) lies += tell(frame, to_node, {3, 4, 2, 0, mtu, 0}, now);
}

// RFC 792, 1191, 4443: a router on the way says what is wrong, and quotes the packet's start.
bool Cable::tell(const rte_mbuf* frame, bool to_node, const Error& error, Nanos now) {
  const GuardPause router;  // not the worker's doing
  bool is4 = false;
  if (!is_ip(frame, is4)) return false;
  const auto* bytes = rte_pktmbuf_mtod(frame, const std::uint8_t*);
  const auto quoted = static_cast<std::uint16_t>(std::min<int>(frame->data_len - ip_at, 68));
  Packet packet = buffers_.make();
  if (!packet) return false;
  auto* message = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(packet.get(), 8 + quoted));
  std::memset(message, 0, 8);
  message[0] = is4 ? error.type4 : error.type6;
  message[1] = is4 ? error.code4 : error.code6;
  message[6] = static_cast<std::uint8_t>(error.mtu >> 8);
  message[7] = static_cast<std::uint8_t>(error.mtu);
  std::memcpy(message + 8, bytes + ip_at, quoted);
  std::uint8_t* sequence = message + 8 + (is4 ? 20 : 40) + 4;
  Be32 number;
  std::memcpy(&number, sequence, 4);
  number = Be32{number.get() + error.beside};
  std::memcpy(sequence, &number, 4);
  const IpAddress sender =
      is4 ? IpAddress::from_v4_wire(bytes + ip_at + 12) : IpAddress::from_v6_wire(bytes + ip_at + 8);
  prepend_icmp(packet, {is4 ? *parse_ip("10.9.9.9") : *parse_ip("fd09::9"), sender});
  MacAddress to;
  std::memcpy(to.bytes.data(), bytes + 6, 6);
  prepend_ethernet(packet, to, {{2, 9, 9, 9, 9, 9}}, 0, is4 ? wire::EtherType::ip4 : wire::EtherType::ip6);
  rte_mbuf* out = packet.release();
  out->ol_flags = 0;
  if (is4) {
    auto* header = rte_pktmbuf_mtod(out, std::uint8_t*) + ip_at;
    const Be16 none{};
    std::memcpy(header + 10, &none, 2);
    const Be16 sum = checksum(add_bytes(0, {header, 20}));
    std::memcpy(header + 10, &sum, 2);
  }
  if (!to_node) {
    to_node_.push_back(out);  // the node's own packet was too long
  } else if (inner_->transmit(0, {&out, 1}, now) != 1) {
    free_buffers(out);
    return false;
  }
  return true;
}

// The right edge of the window moves back (RFC 9293 3.8.6: a sender must be robust against it).
void Cable::shrink_window(rte_mbuf* frame) {
  if (!is_tcp4(frame) || !sole_owner(frame)) return;
  auto* tcp = rte_pktmbuf_mtod(frame, std::uint8_t*) + tcp_at;
  if ((tcp[13] & 0x17) != 0x10) return;  // SYN, FIN and RST are left alone
  Be16 window, sum;
  std::memcpy(&window, tcp + 14, 2);
  std::memcpy(&sum, tcp + 16, 2);
  const Be16 less{static_cast<std::uint16_t>(window.get() >> (1 + rng_.below(12)))};
  ChecksumDelta delta;
  delta.change(window, less);
  delta.apply(sum);
  std::memcpy(tcp + 14, &less, 2);
  std::memcpy(tcp + 16, &sum, 2);
  shrunk += less.raw() != window.raw();
}

// RFC 2018 8: what a peer has sacked it may drop; it looks the same when it never had it.
void Cable::claim_more(rte_mbuf* frame) {
  constexpr std::int32_t segment = 1448;
  if (!is_tcp4(frame) || !sole_owner(frame)) return;
  auto* tcp = rte_pktmbuf_mtod(frame, std::uint8_t*) + tcp_at;
  const std::uint16_t header = tcp_header_size(tcp - tcp_at);
  if ((tcp[13] & 0x17) != 0x10 || frame->data_len < tcp_at + header) return;
  for (std::uint16_t at = 20; at + 1 < header && tcp[at] != 0;) {
    if (tcp[at] == 1) {
      ++at;
      continue;
    }
    const std::uint8_t size = tcp[at + 1];
    if (size < 2 || at + size > header) return;
    if (tcp[at] == 5 && size >= 10) {
      const auto last = static_cast<std::uint16_t>(at + size - 8);
      Be32 ack, begin;
      std::memcpy(&ack, tcp + 8, 4);
      std::memcpy(&begin, tcp + last, 4);
      // Not a block that tells of a duplicate, nor what is missing next.
      if (at % 2 || static_cast<std::int32_t>(begin.get() - ack.get()) <= segment) return;
      change_word(tcp, last, 0u - segment);
      ++reneged;
      return;
    }
    at = static_cast<std::uint16_t>(at + size);
  }
}

void Cable::remember(const rte_mbuf* frame) {
  constexpr std::size_t enough = 120;
  if (past_.size() == enough || !is_tcp(frame) || frame->nb_segs > 1) return;
  const auto* bytes = rte_pktmbuf_mtod(frame, const std::uint8_t*);
  const GuardPause notes;
  past_.emplace_back(bytes, bytes + frame->data_len);
}

void Cable::repeat_past() {
  for (auto frame = past_.rbegin(); frame != past_.rend(); ++frame) {  // the last of to_node_ is the next
    Packet packet = buffers_.make();
    if (!packet) return;
    std::memcpy(rte_pktmbuf_append(packet.get(), static_cast<std::uint16_t>(frame->size())), frame->data(),
                frame->size());
    to_node_.push_back(packet.release());
    ++repeated;
  }
  past_.clear();
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
    if (now < spec_.well_from && is_bare_ack(out[i]) && rng_.chance_ppm(spec_.ack_loss_ppm)) {
      free_buffers(out[i]);
      ++lost;
    } else if (!passes(out[i], now, true)) {
      free_buffers(out[i]);
    } else {
      remember(out[i]);
      if (now < spec_.shrink_until && rng_.chance_ppm(spec_.shrink_ppm)) shrink_window(out[i]);
      if (spec_.renege_ppm && rng_.chance_ppm(spec_.renege_ppm)) claim_more(out[i]);
      out[kept++] = out[i];
    }
  }
  std::uint16_t all = kept;
  while (!to_node_.empty() && all < out.size()) {
    out[all++] = to_node_.back();
    to_node_.pop_back();
  }
  for (std::uint16_t i = 0; i < kept && all < out.size(); ++i)
    if (rng_.chance_ppm(spec_.forge_ppm))
      if (rte_mbuf* forged_frame = forge(out[i])) out[all++] = forged_frame;
  return all;
}

std::uint16_t Cable::transmit(std::uint16_t queue, std::span<rte_mbuf*> frames, Nanos now) {
  if (!down(now)) {
    for (std::uint16_t i = 0; i < frames.size(); ++i) {
      rte_mbuf* frame = frames[i];
      if (!passes(frame, now, false)) free_buffers(frame);
      else if (inner_->transmit(queue, {&frame, 1}, now) != 1) return i;
    }
    return static_cast<std::uint16_t>(frames.size());
  }
  for (rte_mbuf* frame : frames) free_buffers(frame);
  lost += frames.size();
  return static_cast<std::uint16_t>(frames.size());
}

// The frame again, without its payload, acknowledging what was never sent, or as a RST of a wrong number: an IPv4 TCP
// segment as an attacker who guessed all but that would make it.
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
  if (rng_.below(2)) {
    bytes[tcp_at + 9] = static_cast<std::uint8_t>(bytes[tcp_at + 9] + 2);  // 131,072 beyond
  } else {
    bytes[tcp_at + 13] = 0x04;
    // 256 to 25,600 beyond, and some: with a small MSS a multiple of 256 beyond an old frame is the right number.
    bytes[tcp_at + 6] = static_cast<std::uint8_t>(bytes[tcp_at + 6] + 1 + rng_.below(100));
    bytes[tcp_at + 7] ^= 0x55;
  }
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
