// nat.h - full-NAT: SNAT ports of one worker, and the rewriting of TCP and UDP packets in place (RFC 1624, RFC 3022,
// RFC 4787 where it speaks of headers). IPv4 and IPv6, both ends of one family. UDP over IPv4 without checksum stays
// so. Options, payload and traffic class pass untouched.
#pragma once

#include "dataplane/base/hash.h"
#include "l4/flow_table.h"
#include "l4/icmp_inner.h"
#include "l4/local_addresses.h"

namespace sluice {

// The local addresses and ports that a worker gives to flows. A port is in use towards one backend only: flows to
// different backends may share it. Which are free is not kept here: the flow table knows, and a candidate is tried by
// looking up the key that its replies would have. Candidates rotate per backend, so a port rests as long as possible
// before it is used again towards the same one. `first` is where they begin: a number of its own for each process,
// since backends still remember the ports of the one before (TIME-WAIT).
class SnatPorts {
 public:
  static constexpr unsigned tries = 64;  // candidates looked at before a flow is refused

  SnatPorts(const LocalAddresses& addresses, unsigned worker, unsigned workers, std::uint32_t first = 0);
  // `preferred`, if the pool has ports of it, is the only address that is taken; unspecified: all are equal.
  // Fills ends.local and ends.local_port for the backend in `ends`; false when none of the candidates is free. A flow
  // in the way that is past its timeout is removed for it: released(const Flow&) is called before.
  template <typename F>
  bool assign(FlowEnds& ends, FlowTable& flows, std::uint32_t now_ms, F&& released, const IpAddress& preferred = {}) {
    const Family& family = family_of(ends.backend);
    const Range range = range_of(family, preferred);
    if (range.size == 0) return false;
    std::uint32_t& cursor = cursors_[end_hash(ends.backend, ends.backend_port) % cursor_count];
    for (unsigned i = 0; i < tries && i < range.size; ++i) {
      cursor = (cursor + 1) % range.size;
      take(family, range.first + cursor, ends);
      const FlowRef ref = flows.find(ends.key(Direction::from_backend));
      if (!ref) return true;
      Flow& old = flows[ref];
      if (!FlowTable::expired(old, now_ms)) continue;
      released(std::as_const(old));
      flows.remove(old);
      return true;
    }
    return false;
  }
  // Ports in the pool for one family of addresses, as this worker owns them.
  std::uint32_t size(bool v4) const { return families_[v4].total; }

 private:
  static constexpr std::uint32_t cursor_count = 4096;
  struct Pool {
    IpAddress address;
    WorkerPorts ports;
  };
  struct Family {
    std::vector<Pool> pools;
    std::uint32_t total = 0;
  };
  struct Range {
    std::uint32_t first, size;
  };
  static Range range_of(const Family& family, const IpAddress& preferred) {
    std::uint32_t first = 0;
    for (const Pool& pool : family.pools) {
      if (pool.address == preferred) return {first, pool.ports.size()};
      first += pool.ports.size();
    }
    return {0, family.total};
  }
  const Family& family_of(const IpAddress& address) const { return families_[address.is_v4()]; }
  static void take(const Family& family, std::uint32_t index, FlowEnds& ends);

  Family families_[2];  // IPv6, IPv4
  std::unique_ptr<std::uint32_t[]> cursors_;
};

// Gives a packet of the flow the addresses and ports of its other side, corrects its checksums and takes one from its
// hop limit, which must be above 1. The packet's first segment must be ours alone.
void translate(Packet& packet, const Flow& flow, Direction direction);
// The same for an ICMP error about a packet of the flow that had left towards the side which the error comes from:
// outer addresses, the packet inside, and all checksums. The error then says that it comes from the flow's other end,
// not from the router that made it, whose address may mean nothing on the other side.
void translate_error(Packet& packet, const Flow& flow, Direction direction, const IcmpInner& inner);

}  // namespace sluice
