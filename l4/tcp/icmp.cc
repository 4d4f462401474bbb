// ICMP errors about segments of ours. They are believed when they quote a sequence number in flight (RFC 5927 4.1): a
// blind attacker would have to guess it. "Too big" lowers the path's MTU; the others end an open that is under way, and
// are remembered, no more, once it is over (RFC 1122 4.2.3.9, RFC 5461).
#include "dataplane/packet/wire/icmp.h"
#include "dataplane/packet/wire/icmp6.h"
#include "l4/icmp_inner.h"
#include "l4/tcp/machine.h"

namespace sluice::tcp {

namespace {

struct Error {
  Unreachable why = Unreachable::no;  // no: nothing to act on
  bool too_big = false;
  std::uint16_t mtu = 0;
};

// RFC 1191 7.1: routers that do not say; the next smaller one of the common sizes.
std::uint16_t plateau_below(std::uint16_t size) {
  for (const std::uint16_t plateau : {32000, 17914, 8166, 4352, 2002, 1492, 1006})
    if (plateau < size) return plateau;
  return PathMtus::ip4_least;
}

Error read_ip4(const wire::Icmp& icmp, std::uint16_t quoted_size) {
  if (icmp.type == wire::Icmp::time_exceeded) return {Unreachable::time_exceeded};
  if (icmp.type == wire::Icmp::parameter_problem) return {Unreachable::parameter};
  if (icmp.type != wire::Icmp::unreachable) return {};  // source quench (RFC 6633) and redirects
  switch (icmp.code) {
    case 2: return {Unreachable::protocol};
    case 3: return {Unreachable::port};
    case 4: {
      const std::uint16_t mtu = icmp.sequence.get();
      return {Unreachable::no, true, mtu ? mtu : plateau_below(quoted_size)};
    }
    case 0:
    case 6:
    case 11: return {Unreachable::network};
    case 9:
    case 10:
    case 13: return {Unreachable::prohibited};
    default: return {Unreachable::host};
  }
}

Error read_ip6(const wire::Icmp6& icmp) {
  switch (icmp.type) {
    case wire::Icmp6::too_big:
      return {Unreachable::no, true, static_cast<std::uint16_t>(std::min(icmp.body.get(), 65535u))};
    case wire::Icmp6::time_exceeded: return {Unreachable::time_exceeded};
    case 4: return {Unreachable::parameter};
    case wire::Icmp6::unreachable: break;
    default: return {};
  }
  switch (icmp.code) {
    case 0: return {Unreachable::network};
    case 1:
    case 5:
    case 6: return {Unreachable::prohibited};
    case 4: return {Unreachable::port};
    default: return {Unreachable::host};
  }
}

bool ends_half_open(Unreachable why) {
  return why == Unreachable::network || why == Unreachable::host || why == Unreachable::time_exceeded ||
         why == Unreachable::parameter;
}

}  // namespace

void Stack::Machine::input_icmp(Packet packet, Nanos now, std::uint16_t network) {
  latest = now;
  const auto inner = icmp_inner(packet);
  if (!inner || inner->key.protocol != Protocol::tcp)
    return drop(std::move(packet), Counter::drop_tcp_icmp, core.counters);
  const FlowKey& q = inner->key;
  const Key key{q.source, q.destination, q.source_port, q.destination_port, network, 0};
  const Seq quoted{packet.at<Be32>(static_cast<std::uint16_t>(inner->l4_offset + 4)).get()};
  const std::uint16_t icmp = packet.meta().l4_offset;
  const Error error = packet.meta().l3 == L3::ip4 ? read_ip4(packet.at<wire::Icmp>(icmp),
                                                             packet.at<wire::Ip4>(inner->l3_offset).total_length.get())
                                                  : read_ip6(packet.at<wire::Icmp6>(icmp));
  const std::uint32_t value = lookup(key, hash(key));
  if (value != KeyTable::none && (error.too_big || error.why != Unreachable::no)) {
    const std::uint32_t index = tcp::index_of(value);
    if (kind_of(value) == Kind::handshake && handshakes[index].iss == quoted) {
      core.counters.add(Counter::tcp_icmp_errors);
      if (ends_half_open(error.why)) drop_handshake(index);
      return;
    }
    if (kind_of(value) == Kind::connection) {
      Tcb& t = connections[index];
      if (t.state != State::closed && t.snd_una <= quoted && quoted < t.snd_nxt) {
        core.counters.add(Counter::tcp_icmp_errors);
        if (error.too_big) {
          path_mtu_told(t, core, error.mtu, now);
        } else {
          t.unreachable = error.why;
          if (!t.synchronized()) close(t, event_reset, core);
        }
        return settle(t);
      }
    }
  }
  drop(std::move(packet), Counter::drop_tcp_icmp, core.counters);
}

}  // namespace sluice::tcp

// Tested in tests/unit/l4/tcp/path_mtu_test.cc.
