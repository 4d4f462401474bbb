#include "l4/nat.h"

#include <algorithm>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/wire/icmp.h"
#include "dataplane/packet/wire/icmp6.h"
#include "dataplane/packet/wire/tcp.h"
#include "dataplane/packet/wire/udp.h"

namespace sluice {

namespace {

struct Ends {
  const IpAddress &source, &destination;
  std::uint16_t source_port, destination_port;
};

// How a packet that came in by `direction` looks when it goes on.
Ends other_side(const FlowEnds& e, Direction direction) {
  return direction == Direction::from_client ? Ends{e.local, e.backend, e.local_port, e.backend_port}
                                             : Ends{e.vip, e.client, e.vip_port, e.client_port};
}
Ends reversed(const Ends& e) { return {e.destination, e.source, e.destination_port, e.source_port}; }

// Corrections are sums of 32-bit words as they stand in memory (RFC 1624: HC' = ~(~HC + ~m + m')): a word's complement
// is as good as its halves', since 2^32 - 1 is a multiple of 2^16 - 1. They run on every packet of a service, hence not
// over byte ranges. This puts a word in the place of another; what it changes in sums that cover it.
Sum replace_word(std::uint8_t* at, std::uint32_t after) {
  const std::uint32_t before = load<std::uint32_t>(at);
  std::memcpy(at, &after, sizeof after);
  return Sum{~before} + after;
}

void correct(Be16& field, Sum change) { field = checksum(change + static_cast<std::uint16_t>(~field.raw())); }

Sum write_address(std::uint8_t* at, const IpAddress& to, bool v4) {
  const std::uint8_t* words = to.bytes.data();
  if (v4) return replace_word(at, load<std::uint32_t>(words + 12));
  Sum change = 0;
  for (std::size_t i = 0; i < 16; i += 4) change += replace_word(at + i, load<std::uint32_t>(words + i));
  return change;
}

// Takes one from the hop limit and fills in the addresses; returns what the addresses change in sums that cover them.
Sum write_ip(Packet& packet, L3 l3, std::uint16_t offset, const Ends& to, bool hop) {
  if (l3 == L3::ip6) {
    auto& ip = packet.at<wire::Ip6>(offset);
    if (hop) --ip.hop_limit;
    return write_address(ip.source.data(), to.source, false) +
           write_address(ip.destination.data(), to.destination, false);
  }
  auto& ip = packet.at<wire::Ip4>(offset);
  const Sum addresses = write_address(reinterpret_cast<std::uint8_t*>(&ip.source), to.source, true) +
                        write_address(reinterpret_cast<std::uint8_t*>(&ip.destination), to.destination, true);
  if (hop) --ip.ttl;
  // The hop limit is the first byte of its word, the lower one in memory: one less there is one less in the sum.
  correct(ip.checksum, addresses + (hop ? 0xfffe : 0));
  return addresses;
}

// Fills in the ports and corrects the checksum, if `size` bytes reach as far as it. UDP's 0 (none) stays, and none is
// made.
void write_ports(Packet& packet, std::uint16_t offset, Protocol protocol, const Ends& to, Sum change,
                 std::size_t size) {
  const std::uint32_t ports = Be16{to.source_port}.raw() | std::uint32_t{Be16{to.destination_port}.raw()} << 16;
  change += replace_word(packet.data() + offset, ports);
  if (protocol == Protocol::udp) {
    if (size < sizeof(wire::Udp)) return;
    Be16& field = packet.at<wire::Udp>(offset).checksum;
    if (field.raw() != 0) field = udp_checksum(change + static_cast<std::uint16_t>(~field.raw()));
  } else if (size >= offsetof(wire::Tcp, checksum) + 2) {
    correct(packet.at<wire::Tcp>(offset).checksum, change);
  }
}

}  // namespace

SnatPorts::SnatPorts(const LocalAddresses& addresses, unsigned worker, unsigned workers, std::uint32_t first)
    : cursors_(std::make_unique<std::uint32_t[]>(cursor_count)) {
  std::fill_n(cursors_.get(), cursor_count, first);
  for (const LocalRange& range : addresses.ranges()) {
    if (range.use != LocalUse::snat) continue;
    Family& family = families_[range.address.is_v4()];
    family.pools.push_back({range.address, WorkerPorts{range.ports, worker, workers}});
    family.total += family.pools.back().ports.size();
  }
}

void SnatPorts::take(const Family& family, std::uint32_t index, FlowEnds& ends) {
  for (const Pool& pool : family.pools) {
    if (index < pool.ports.size()) {
      ends.local = pool.address;
      ends.local_port = pool.ports[index];
      return;
    }
    index -= pool.ports.size();
  }
  CHECK(false && "an index below the total lies in a pool");
}

void translate(Packet& packet, const Flow& flow, Direction direction) {
  const Meta& meta = packet.meta();
  const Ends to = other_side(flow.ends, direction);
  const Sum addresses = write_ip(packet, meta.l3, meta.l3_offset, to, true);
  write_ports(packet, meta.l4_offset, meta.protocol, to, addresses, packet.bytes().size() - meta.l4_offset);
}

void translate_error(Packet& packet, const Flow& flow, Direction direction, const IcmpInner& inner) {
  const Meta& meta = packet.meta();
  const Ends to = other_side(flow.ends, direction), quoted = reversed(to);
  write_ip(packet, meta.l3, meta.l3_offset, to, true);
  const Sum addresses = write_ip(packet, meta.l3, inner.l3_offset, quoted, false);
  write_ports(packet, inner.l4_offset, inner.key.protocol, quoted, addresses, inner.size);

  // The message's own checksum is made afresh: errors are rare, and what they quote may be cut anywhere.
  auto& field = packet.at<wire::Icmp>(meta.l4_offset).checksum;
  field = Be16{};
  const std::uint32_t size = packet.size() - meta.l4_offset;
  const Sum pseudo = meta.l3 == L3::ip6 ? add_pseudo_header(0, to.source, to.destination, Protocol::icmp6, size) : 0;
  field = checksum(add_segments(pseudo, packet.get(), meta.l4_offset, size));
}

}  // namespace sluice
