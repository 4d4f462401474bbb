#include "l4/nat.h"

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

// Source and destination stand side by side in both headers: one change covers both.
ChecksumDelta write_addresses(std::uint8_t* at, const Ends& to, std::size_t each) {
  std::uint8_t after[32];
  std::memcpy(after, to.source.wire().data(), each);
  std::memcpy(after + each, to.destination.wire().data(), each);
  ChecksumDelta delta;
  delta.change({at, 2 * each}, {after, 2 * each});
  std::memcpy(at, after, 2 * each);
  return delta;
}

// Takes one from the hop limit and fills in the addresses; returns what the addresses change in sums that cover them.
ChecksumDelta write_ip(Packet& packet, L3 l3, std::uint16_t offset, const Ends& to, bool hop) {
  if (l3 == L3::ip6) {
    auto& ip = packet.at<wire::Ip6>(offset);
    if (hop) --ip.hop_limit;
    return write_addresses(ip.source.data(), to, 16);
  }
  auto& ip = packet.at<wire::Ip4>(offset);
  const ChecksumDelta addresses = write_addresses(reinterpret_cast<std::uint8_t*>(&ip.source), to, 4);
  ChecksumDelta header = addresses;
  if (hop) {
    const std::uint8_t before[2] = {ip.ttl, ip.protocol};
    --ip.ttl;
    const std::uint8_t after[2] = {ip.ttl, ip.protocol};
    header.change(before, after);
  }
  header.apply(ip.checksum);
  return addresses;
}

// Fills in the ports and corrects the checksum, if `size` bytes reach as far as it.
void write_ports(Packet& packet, std::uint16_t offset, Protocol protocol, const Ends& to, ChecksumDelta delta,
                 std::size_t size) {
  auto* ports = packet.data() + offset;
  const Be16 after[2] = {Be16{to.source_port}, Be16{to.destination_port}};
  delta.change({ports, 4}, {reinterpret_cast<const std::uint8_t*>(after), 4});
  std::memcpy(ports, after, 4);
  if (protocol == Protocol::udp) {
    if (size >= sizeof(wire::Udp)) delta.apply_udp(packet.at<wire::Udp>(offset).checksum);
  } else if (size >= offsetof(wire::Tcp, checksum) + 2) {
    delta.apply(packet.at<wire::Tcp>(offset).checksum);
  }
}

}  // namespace

SnatPorts::SnatPorts(const LocalAddresses& addresses, unsigned worker, unsigned workers)
    : cursors_(std::make_unique<std::uint32_t[]>(cursor_count)) {
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
  const ChecksumDelta addresses = write_ip(packet, meta.l3, meta.l3_offset, to, true);
  write_ports(packet, meta.l4_offset, meta.protocol, to, addresses, packet.bytes().size() - meta.l4_offset);
}

void translate_error(Packet& packet, const Flow& flow, Direction direction, const IcmpInner& inner) {
  const Meta& meta = packet.meta();
  const Ends to = other_side(flow.ends, direction), quoted = reversed(to);
  write_ip(packet, meta.l3, meta.l3_offset, to, true);
  const ChecksumDelta addresses = write_ip(packet, meta.l3, inner.l3_offset, quoted, false);
  write_ports(packet, inner.l4_offset, inner.key.protocol, quoted, addresses, inner.size);

  // The message's own checksum is made afresh: errors are rare, and what they quote may be cut anywhere.
  auto& field = packet.at<wire::Icmp>(meta.l4_offset).checksum;
  field = Be16{};
  const std::uint32_t size = packet.size() - meta.l4_offset;
  const Sum pseudo = meta.l3 == L3::ip6 ? add_pseudo_header(0, to.source, to.destination, Protocol::icmp6, size) : 0;
  field = checksum(add_segments(pseudo, packet.get(), meta.l4_offset, size));
}

}  // namespace sluice
