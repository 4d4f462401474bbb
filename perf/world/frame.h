// frame.h - TCP segments over IPv4 as the scenarios' scripted peers write and read them: Linux's options (MSS, SACK
// permitted, timestamps, window scale 7 on a SYN, timestamps alone on the rest), checksums made and verified in
// software or, where the port stands for a NIC that does them, left to it: then the pseudo-header sum that the NIC
// would complete is verified. A frame read may be a chain of buffers, of up to 64 kB where the port takes TSO.
#pragma once

#include <expected>

#include "dataplane/base/address.h"
#include "dataplane/packet/buffers.h"
#include "dataplane/packet/wire/tcp.h"

namespace sluice::perf {

inline constexpr std::uint8_t peer_window_scale = 7;

// One end, as the frame's other end sees it.
struct Station {
  MacAddress mac;
  std::uint32_t address = 0;
  std::uint16_t port = 0;
};

struct SegmentOut {
  std::uint32_t sequence = 0, acknowledgement = 0;
  std::uint32_t stamp = 0, echo = 0;
  std::uint8_t flags = 0;
  std::uint16_t window = 65'535;
};

struct SegmentIn {
  const rte_mbuf* frame = nullptr;
  MacAddress from_mac, to_mac;
  std::uint32_t from = 0, to = 0;
  std::uint16_t from_port = 0, to_port = 0;
  std::uint32_t sequence = 0, acknowledgement = 0, window = 0, stamp = 0;
  std::uint8_t flags = 0;
  std::uint8_t window_scale = 0;  // of a SYN
  std::uint32_t payload_at = 0, payload_size = 0;

  bool has(std::uint8_t flag) const { return flags & flag; }
  // Calls f(bytes) for the pieces of the payload in their order, until one call says false.
  template <typename F>
  bool each_piece(F&& f) const {
    std::uint32_t at = payload_at, left = payload_size;
    for (const rte_mbuf* segment = frame; segment && left; segment = segment->next) {
      if (at >= segment->data_len) {
        at -= segment->data_len;
        continue;
      }
      const std::uint32_t n = std::min<std::uint32_t>(left, segment->data_len - at);
      if (!f(std::string_view{rte_pktmbuf_mtod_offset(segment, const char*, at), n})) return false;
      left -= n;
      at = 0;
    }
    return left == 0;
  }
};

// Nothing when no buffer is free.
Packet write_segment(Buffers& buffers, const Station& from, const Station& to, const SegmentOut& segment,
                     std::string_view payload, bool checksums);
// The address that an ARP request asks for; 0: the frame is none, or asks for its own sender.
std::uint32_t arp_asks_for(const rte_mbuf* frame);
// The answer to an ARP request, with that MAC; nothing for other frames.
Packet answer_arp(Buffers& buffers, const rte_mbuf* frame, const MacAddress& mac);

enum class Unread : std::uint8_t { not_tcp, cut, checksum, no_timestamp };
std::string_view to_text(Unread why);
// `left_to_port`: checksums that the frame asks the port for are not there yet.
std::expected<SegmentIn, Unread> read_segment(const rte_mbuf* frame, bool left_to_port);

}  // namespace sluice::perf
