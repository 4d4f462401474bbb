// text_packets.h - packets of L4 tests: text (tests/support/packet_text.h) to parsed packet and back.
#pragma once

#include <gtest/gtest.h>

#include "dataplane/packet/buffers.h"
#include "dataplane/packet/parse.h"
#include "tests/support/packet_text.h"

namespace sluice::test {

class TextPackets {
 public:
  TextPackets() : buffers_("l4_text", 1023, 255, 0, 0) { CHECK(buffers_.ok()); }

  // A frame as the pipeline sees it behind parse.
  Packet packet(std::string_view text, PortId port = 0) {
    const Frame bytes = frame(text);
    Packet out = buffers_.make();
    CHECK(out && rte_pktmbuf_append(out.get(), static_cast<std::uint16_t>(bytes.size())));
    std::memcpy(out.data(), bytes.data(), bytes.size());
    out.meta().port = port;
    CHECK(parse(out, true, counters));
    return out;
  }
  // An IP packet between two fixed stations.
  Packet ip(std::string_view text, PortId port = 0) { return packet(std::string{link} + std::string{text}, port); }
  // What stands behind the Ethernet header of a packet that still has one.
  static std::string ip_text(const Packet& packet) { return text_of(packet.bytes()).substr(link.size()); }

  static constexpr std::string_view link = "eth 02:00:00:00:00:01 > 02:00:00:00:00:02 | ";
  Counters counters;

 private:
  Buffers buffers_;
};

}  // namespace sluice::test
