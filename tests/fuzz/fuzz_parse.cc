// covers: dataplane/packet/parse.cc dataplane/packet/checksum.cc
// fuzz_parse.cc - any frame, in one segment or two: parse reads nothing beyond it, and what passes obeys parse.h.
// The frame stands in heap memory of its exact size, so that AddressSanitizer sees a read behind it. The first byte of
// the input chooses: verify checksums or not, hardware's word, and where the second segment begins.
#include <algorithm>
#include <cstdlib>
#include <memory>

#include "dataplane/packet/parse.h"

namespace sluice {
namespace {

// A descriptor with its Meta behind it, as in a pool; the extra reference keeps DPDK from giving it back to one.
struct alignas(64) Descriptor {
  rte_mbuf mbuf{};
  Meta meta;

  Descriptor() {
    mbuf.priv_size = sizeof(Meta);
    mbuf.nb_segs = 1;
    rte_mbuf_refcnt_set(&mbuf, 2);
  }
  void hold(std::uint8_t* bytes, std::size_t size) {
    mbuf.buf_addr = bytes;
    mbuf.buf_len = mbuf.data_len = static_cast<std::uint16_t>(size);
  }
};

void check(const Packet& packet) {
  const Meta& meta = packet.meta();
  const std::size_t first = packet.bytes().size();
  CHECK(first <= packet.size());
  if (meta.l3 == L3::none) return;
  CHECK(meta.l3_offset == 14 || meta.l3_offset == 18);
  if (meta.l3 == L3::arp) {
    CHECK(meta.l3_offset + 28u <= first);
    return;
  }
  CHECK(meta.l4_offset > meta.l3_offset && meta.l4_offset <= first);
  CHECK(meta.payload_offset >= meta.l4_offset && meta.payload_offset <= first);
  CHECK(meta.payload_offset + meta.payload_size <= packet.size());
  CHECK(!meta.later_fragment || (meta.fragment && meta.payload_offset == meta.l4_offset && meta.source_port == 0));
  if (meta.later_fragment) return;
  CHECK(meta.protocol != Protocol::tcp || meta.payload_offset >= meta.l4_offset + 20);
  CHECK(meta.protocol != Protocol::udp || meta.payload_offset == meta.l4_offset + 8);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  static Counters counters;
  if (size < 2 || size > 4096) return 0;
  const std::uint8_t choice = data[0];
  const ByteView frame{data + 1, size - 1};
  // Two segments only where the headers may well be in the first; parse would need a pool's buffer to join them
  // otherwise.
  const std::size_t cut = choice & 0x80 && frame.size() > 256 ? 256 : frame.size();
  const std::unique_ptr<std::uint8_t[]> front{new std::uint8_t[cut]}, back{new std::uint8_t[frame.size() - cut]};
  std::copy_n(frame.begin(), cut, front.get());
  std::copy(frame.begin() + static_cast<std::ptrdiff_t>(cut), frame.end(), back.get());
  Descriptor first, second;
  first.hold(front.get(), cut);
  second.hold(back.get(), frame.size() - cut);
  if (cut < frame.size()) {
    first.mbuf.next = &second.mbuf;
    first.mbuf.nb_segs = 2;
  }
  first.mbuf.pkt_len = static_cast<std::uint32_t>(frame.size());
  constexpr std::uint64_t l4_words[] = {0, RTE_MBUF_F_RX_L4_CKSUM_BAD, RTE_MBUF_F_RX_L4_CKSUM_GOOD,
                                        RTE_MBUF_F_RX_L4_CKSUM_NONE};
  constexpr std::uint64_t ip_words[] = {0, RTE_MBUF_F_RX_IP_CKSUM_BAD, RTE_MBUF_F_RX_IP_CKSUM_GOOD,
                                        RTE_MBUF_F_RX_IP_CKSUM_NONE};
  first.mbuf.ol_flags = l4_words[choice & 3] | ip_words[choice >> 2 & 3];
  Packet packet{&first.mbuf};
  if (parse(packet, choice & 0x10, counters)) check(packet);
  packet.release();
  return 0;
}
