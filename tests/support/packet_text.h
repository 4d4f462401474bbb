// packet_text.h - frames as text that a person can read and write, and back. For golden cases and tests.
//
//   eth 02:00:00:00:00:01 > 02:00:00:00:00:02 | vlan 5 | ip4 10.0.0.1 > 192.0.2.10 | tcp 1234 > 80 S seq=1 | text hello
//
// Layers stand behind each other, separated by " | ":
//   eth SRC > DST [type=0x88cc]                  vlan ID [priority=N]
//   arp request|reply MAC IP > MAC IP            sender, then target
//   ip4 SRC > DST [ttl=64] [id=0] [tos=0] [df] [mf] [offset=0] [options=HEX]
//   ip6 SRC > DST [hops=64] [class=0] [flow=0]
//   tcp SPORT > DPORT FLAGS [seq=0] [ack=0] [window=65535] [urgent=0] [options=HEX]   FLAGS: of SFRPAUEC, or - for none
//   udp SPORT > DPORT [sum=none]
//   icmp TYPE CODE [rest=HEX of 4 bytes]         icmp6 TYPE CODE [rest=HEX]
//   text WORDS to the end (\r and \n are CR and LF)   hex BYTES to the end
// Fields in brackets may be left out when they have the value shown, and are left out when written. What follows from
// the rest (types, protocols, lengths, checksums) is computed, unless given to be wrong: length=N, protocol=N,
// sum=0xHHHH. When a frame is written as text they appear only if they are not what they should be. IP packets may be
// quoted behind icmp.
#pragma once

#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::test {

using Frame = std::vector<std::uint8_t>;

std::expected<Frame, std::string> frame_of(std::string_view text);
// The same; a text that is wrong ends the test program.
Frame frame(std::string_view text);
std::string text_of(std::span<const std::uint8_t> frame);
// Of a packet that starts at its IP header.
std::string text_of_ip(std::span<const std::uint8_t> packet);

}  // namespace sluice::test
