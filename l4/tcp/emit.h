// emit.h - a segment's bytes: IPv4 or IPv6 header, TCP header and options in a fresh buffer, payload behind it, shared
// where the way out takes that and copied once where not. Checksums are asked of the layer below (egress.h).
#pragma once

#include "l4/tcp/core.h"
#include "l4/tcp/egress.h"
#include "l4/tcp/key.h"
#include "l4/tcp/segment.h"
#include "l4/tcp/send_queue.h"

namespace sluice::tcp {

struct Header {
  Seq seq, ack;
  std::uint16_t window = 0;
  std::uint8_t flags = 0;
  std::uint8_t window_scale = 0;
  std::uint8_t sack_count = 0;
  EcnField ecn = EcnField::not_capable;
  bool has_timestamps = false, has_mss = false, has_window_scale = false, sack_permitted = false;
  std::uint16_t mss = 0;
  std::uint32_t ts_value = 0, ts_echo = 0;
  std::array<Range, 4> sack{};

  std::uint32_t options_size() const;
};

inline constexpr std::uint32_t payload_pieces_max = 40;  // buffers that one packet may gather

// An IP packet with that header and [begin, begin + size) of the queue. Nothing when buffers ran out. A payload that
// needs more than payload_pieces_max buffers is cut; the caller reads back from `size` how much went in.
Packet make_segment(Core& core, const Key& key, Header header, const Path& path, SendQueue* queue, Seq begin,
                    std::uint32_t& size, std::uint32_t segment_size);

inline std::uint32_t ip_header_size(const Key& key) { return key.local.is_v4() ? 20 : 40; }

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/stack_test.cc.
