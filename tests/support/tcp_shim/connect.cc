// connect: the states of RFC 9293 as Linux's calls show them.
#include <netinet/in.h>

#include <algorithm>

#include "tests/support/tcp_shim/shim.h"
#include "tests/support/tcp_shim/tcp_shim.h"

namespace sluice::shim {

// Back to a socket that was never connected; a binding stays.
void Shim::disconnect(Socket& s) {
  if (s.open) {
    stack->abort(s.id, now);
    stack->release(s.id, now);
    s.error = ECONNRESET;
  }
  s.pieces.clear();
  s.open = s.connecting = s.more = s.held = s.ended = false;
  s.phase = Socket::Phase::unconnected;
  s.shut_read = s.shut_write = s.done = false;
  s.inbox.clear();
  s.remote = {s.domain == AF_INET ? IpAddress::from_v4(0) : IpAddress{}, 0};
  if (!s.address_set) {
    s.bound = false;
    s.local = s.remote;
  }
  ++s.activity;
}

int Shim::start_connect(Socket& s, const Endpoint& to) {
  Endpoint target = to;
  const bool v4 = target.address.is_v4();
  if (s.domain == AF_INET6 && v4 && s.options.v6_only) return ENETUNREACH;
  if (target.address.is_unspecified()) target.address = *parse_ip(v4 ? "127.0.0.1" : "::1");
  if (target.address.is_multicast() || (v4 && target.address.v4() == 0xffffffff)) return ENETUNREACH;
  IpAddress from = s.local.address;
  if (from.is_unspecified()) {
    const bool inside = ours(target.address);
    const bool own = inside && std::ranges::find(options.local, target.address) != options.local.end();
    if (own) {
      from = target.address;
    } else if (inside) {
      from = *parse_ip(v4 ? "127.0.0.1" : "::1");
    } else {
      const auto found = std::ranges::find_if(options.local, [&](const IpAddress& a) { return a.is_v4() == v4; });
      if (found == options.local.end()) return ENETUNREACH;
      from = *found;
    }
  } else if (from.is_v4() != v4) {
    return s.domain == AF_INET6 ? EINVAL : EAFNOSUPPORT;
  }
  const bool chosen = s.bound;  // by bind(); else another port may do where one is taken, by a TIME-WAIT perhaps
  if (!chosen && !autobind(s)) return EADDRNOTAVAIL;
  apply_options(s);
  const int tries = s.options.syn_count ? s.options.syn_count : options.syn_retries;
  tcp::ConnectSpec spec;
  spec.remote = target;
  spec.local = from;
  spec.transparent = true;  // the address may be any of 127.0.0.0/8
  spec.timeout = Nanos{1'000'000'000} * ((std::int64_t{2} << std::min(tries, 14)) - 1);
  spec.user = s.serial;
  spec.settings = s.settings();
  const int range = options.port_high - options.port_low + 1;
  auto id = std::expected<tcp::ConnId, tcp::ConnectError>{std::unexpected(tcp::ConnectError::no_port)};
  for (int n = 0; n < (chosen ? 1 : range); ++n) {
    spec.local_port = s.local.port;
    id = stack->connect(spec, now);
    if (id || id.error() != tcp::ConnectError::in_use || chosen || !autobind(s)) break;
  }
  if (!id) {
    if (!chosen) s.bound = false;
    switch (id.error()) {
      case tcp::ConnectError::pool_full: return ENOBUFS;
      case tcp::ConnectError::no_source: return ENETUNREACH;
      default: return EADDRNOTAVAIL;
    }
  }
  s.id = *id;
  s.open = s.connecting = true;
  s.phase = Socket::Phase::connecting;
  s.local.address = from;
  s.remote = target;
  s.error = s.soft_error = 0;
  s.traffic = {};
  return 0;
}

int Shim::connect(Call& call, Socket& s, const sockaddr* address, socklen_t size) {
  if (!address) return fail(EFAULT);
  if (size < sizeof(sa_family_t) || size > sizeof(sockaddr_storage)) return fail(EINVAL);
  if (address->sa_family == AF_UNSPEC) {
    if (s.listening) stop_listening(s);
    disconnect(s);
    changed();
    return 0;
  }
  int error = EALREADY;
  switch (s.phase) {
    case Socket::Phase::connected: return fail(EISCONN);
    case Socket::Phase::connecting: break;
    case Socket::Phase::unconnected: {
      if (s.listening) return fail(EISCONN);
      Endpoint to;
      if (const int wrong = read_address(address, size, s.domain, to)) return fail(wrong);
      if (const int wrong = start_connect(s, to)) return fail(wrong);
      changed();
      error = EINPROGRESS;
      // Over loopback it may be decided by now; Linux looks before the answer is there.
      if (s.nonblocking) return fail(error);
    }
  }
  const Nanos deadline = deadline_of(*this, s, s.options.send_timeout, 0);
  while (s.open && s.connecting) {
    if (const int why = call.sleep(deadline)) return fail(why == ETIMEDOUT ? error : why);
    if (s.closed) return fail(EBADF);
  }
  if (s.phase != Socket::Phase::connecting) return fail(s.phase == Socket::Phase::connected ? EISCONN : ECONNABORTED);
  if (!s.open) {
    error = s.error ? std::exchange(s.error, 0) : ECONNABORTED;
    disconnect(s);
    return fail(error);
  }
  s.phase = Socket::Phase::connected;
  return 0;
}

}  // namespace sluice::shim

using namespace sluice::shim;

int tcp_shim_connect(tcp_shim* shim, int fd, const sockaddr* address, socklen_t size) {
  Call call{*shim->shim};
  const SocketPtr s = shim->shim->socket(fd);
  return s ? shim->shim->connect(call, *s, address, size) : -1;
}
