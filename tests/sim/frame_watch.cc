#include "tests/sim/frame_watch.h"

#include "dataplane/base/guard.h"
#include "dataplane/packet/checksum.h"

namespace sluice::sim {

namespace {

constexpr std::uint16_t ip_at = 14;

std::uint32_t number_at(const std::uint8_t* at) { return std::uint32_t{at[0]} << 8 | at[1]; }

// What is wrong with a frame that carries TCP and nothing unusual before it; nullptr: nothing.
const char* flaw_of(const rte_mbuf* frame) {
  const auto* ip = rte_pktmbuf_mtod(frame, const std::uint8_t*) + ip_at;
  if (frame->data_len < ip_at + 40) return nullptr;
  const std::uint32_t type = number_at(ip - 2);
  const bool is4 = type == 0x0800;
  const std::uint16_t header = is4 ? 20 : 40;
  if ((!is4 && type != 0x86dd) || ip[is4 ? 9 : 6] != 6 || (is4 && ip[0] != 0x45)) return nullptr;
  if (is4 && (number_at(ip + 6) & 0x3fff)) return nullptr;  // a fragment
  const std::uint32_t size = frame->pkt_len - ip_at, said = is4 ? number_at(ip + 2) : 40 + number_at(ip + 4);
  if (said != size) return "the length in a frame's IP header is not the frame's";
  if (is4 && checksum(add_bytes(0, {ip, 20})).raw()) return "a frame's IPv4 checksum is wrong";
  const IpAddress from = is4 ? IpAddress::from_v4_wire(ip + 12) : IpAddress::from_v6_wire(ip + 8),
                  to = is4 ? IpAddress::from_v4_wire(ip + 16) : IpAddress::from_v6_wire(ip + 24);
  const Sum sum = add_pseudo_header(0, from, to, Protocol::tcp, size - header);
  if (checksum(add_segments(sum, frame, ip_at + header, size - header)).raw()) return "a frame's TCP checksum is wrong";
  return nullptr;
}

}  // namespace

std::uint16_t FrameWatch::receive(std::uint16_t queue, std::span<rte_mbuf*> out, Nanos now) {
  return inner_.receive(queue, out, now);
}

std::uint16_t FrameWatch::transmit(std::uint16_t queue, std::span<rte_mbuf*> frames, Nanos now) {
  if (failure_.empty()) {
    const GuardPause watching;  // not the worker's doing
    for (const rte_mbuf* frame : frames)
      if (const char* flaw = flaw_of(frame)) failure_ = flaw;
  }
  return inner_.transmit(queue, frames, now);
}

}  // namespace sluice::sim
