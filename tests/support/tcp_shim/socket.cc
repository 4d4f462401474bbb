// socket, bind, listen, accept, the names, shutdown, close.
#include "tests/support/tcp_shim/socket.h"

#include <fcntl.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "tests/support/tcp_shim/shim.h"
#include "tests/support/tcp_shim/tcp_shim.h"

namespace sluice::shim {

namespace {

bool any_of_family(const IpAddress& any, bool v6_only, const IpAddress& other) {
  if (!any.is_unspecified()) return false;
  return any.is_v4() ? other.is_v4() : !v6_only || !other.is_v4();
}

bool overlap(const Socket& a, const IpAddress& at, const Socket& b) {
  return at == b.local.address || any_of_family(at, a.options.v6_only, b.local.address) ||
         any_of_family(b.local.address, b.options.v6_only, at);
}

}  // namespace

bool Shim::ours(const IpAddress& address) const {
  if (address.is_v4() ? address.v4() >> 24 == 127 : address == *parse_ip("::1")) return true;
  return std::ranges::find(options.local, address) != options.local.end();
}

bool Shim::conflicts(const Socket& s, const Endpoint& wanted) const {
  return std::ranges::any_of(sockets, [&](const auto& entry) {
    const Socket& other = *entry.second;
    if (&other == &s || !other.bound || other.local.port != wanted.port || !overlap(s, wanted.address, other))
      return false;
    if (s.options.reuse_port && other.options.reuse_port) return false;
    return !(s.options.reuse_address && other.options.reuse_address && !other.listening);
  });
}

// A port of the range that nobody has. False: none is left.
bool Shim::autobind(Socket& s) {
  const std::uint16_t low = s.options.port_low ? s.options.port_low : options.port_low;
  const std::uint16_t high = s.options.port_high ? s.options.port_high : options.port_high;
  const std::uint32_t range = high - low + 1u;
  if (!s.address_set) s.local.address = s.domain == AF_INET ? IpAddress::from_v4(0) : IpAddress{};
  for (std::uint32_t n = 0; n < range; ++n) {
    const auto port = static_cast<std::uint16_t>(low + (options.seed + port_cursor++) % range);
    const bool taken = std::ranges::any_of(
        sockets, [&](const auto& entry) { return entry.second->bound && entry.second->local.port == port; });
    if (taken) continue;
    s.local.port = port;
    s.bound = true;
    return true;
  }
  return false;
}

int Shim::bind(Socket& s, const sockaddr* address, socklen_t size) {
  Endpoint wanted;
  if (address && size >= sizeof(sockaddr_in) && size <= sizeof(sockaddr_storage) && s.domain == AF_INET &&
      address->sa_family == AF_UNSPEC) {  // of old programs: any address
    sockaddr_in in;
    std::memcpy(&in, address, sizeof in);
    if (in.sin_addr.s_addr) return fail(EAFNOSUPPORT);
    wanted = {IpAddress::from_v4(0), ntohs(in.sin_port)};
  } else if (const int error = read_address(address, size, s.domain, wanted)) {
    return fail(error);
  }
  if (!wanted.address.is_unspecified() && !ours(wanted.address)) return fail(EADDRNOTAVAIL);
  if (s.domain == AF_INET6 && s.options.v6_only && wanted.address.is_v4()) return fail(EINVAL);
  if (s.bound || s.open || s.listening) return fail(EINVAL);
  if (wanted.port == 0) {
    s.local.address = wanted.address;
    s.address_set = true;
    return autobind(s) ? 0 : fail(EADDRINUSE);
  }
  if (conflicts(s, wanted)) return fail(EADDRINUSE);
  s.local = wanted;
  s.bound = s.address_set = true;
  return 0;
}

int Shim::listen(Socket& s, int backlog) {
  if (s.phase != Socket::Phase::unconnected || s.open) return fail(EINVAL);
  s.backlog =
      static_cast<std::uint32_t>(std::min(static_cast<unsigned>(backlog), static_cast<unsigned>(options.somaxconn)));
  if (s.listening) return 0;
  if (s.bound ? conflicts(s, s.local) : !autobind(s)) return fail(EADDRINUSE);
  s.listening = true;
  apply_options(s);
  s.shut_read = s.shut_write = s.done = false;
  return 0;
}

void Shim::stop_listening(Socket& s) {
  s.listening = false;
  for (const SocketPtr& child : s.accepted) {
    if (child->open) {
      stack->abort(child->id, now);
      stack->release(child->id, now);
    }
    sockets.erase(child->serial);
  }
  s.accepted.clear();
}

void Shim::forget(Socket& s) {
  s.inbox.clear();
  s.pieces.clear();
  sockets.erase(s.serial);
}

void Shim::close(Call& call, SocketPtr s) {
  s->closed = true;
  feed_all(*s);
  if (s->listening) stop_listening(*s);
  const bool lingers = s->options.lingers.l_onoff;
  if (s->open && (readable(*s) > 0 || (lingers && s->options.lingers.l_linger == 0))) {
    stack->abort(s->id, now);
  } else if (s->open && lingers && !s->nonblocking) {
    stack->shutdown(s->id, now);
    changed();
    const Nanos deadline = now + Nanos{1'000'000'000} * s->options.lingers.l_linger;
    while (s->open && info(*s).state != tcp::State::fin_wait_2 && now < deadline && call.sleep(deadline) == 0) {}
  }
  if (s->open) stack->release(s->id, now);
  s->open = false;
  forget(*s);
  changed();
}

namespace {

int accept(tcp_shim* shim, int fd, sockaddr* address, socklen_t* size, int flags) {
  Shim& t = *shim->shim;
  Call call{t};
  if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) return fail(EINVAL);
  const SocketPtr listener = t.socket(fd);
  if (!listener) return -1;
  const Nanos deadline = deadline_of(t, *listener, listener->options.receive_timeout, 0);
  while (listener->accepted.empty()) {
    if (listener->closed) return fail(EBADF);
    if (!listener->listening) return fail(EINVAL);
    if (const int error = call.sleep(deadline)) return fail(error == ETIMEDOUT ? EAGAIN : error);
  }
  const SocketPtr s = listener->accepted.front();
  listener->accepted.pop_front();
  s->nonblocking = flags & SOCK_NONBLOCK;
  s->close_on_exec = flags & SOCK_CLOEXEC;
  write_address(s->remote, s->domain, address, size);
  t.changed();
  return t.add(s);
}

}  // namespace

}  // namespace sluice::shim

using namespace sluice::shim;

int tcp_shim_socket(tcp_shim* shim, int domain, int type, int protocol) {
  Shim& t = *shim->shim;
  Call call{t};
  const int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
  constexpr int protocols = 263;  // IPPROTO_MAX
  if (kind < 0 || kind > SOCK_PACKET) return fail(EINVAL);
  if (domain != AF_INET && domain != AF_INET6) return fail(EAFNOSUPPORT);
  if (protocol < 0 || protocol >= protocols) return fail(EINVAL);
  if (kind != SOCK_STREAM) return fail(ESOCKTNOSUPPORT);
  if (protocol != 0 && protocol != IPPROTO_TCP) return fail(EPROTONOSUPPORT);
  auto s = std::make_shared<Socket>(++t.last_serial, domain);
  s->nonblocking = type & SOCK_NONBLOCK;
  s->close_on_exec = type & SOCK_CLOEXEC;
  s->options.rcvbuf = t.options.rcvbuf;
  s->options.rcvbuf_fixed = t.options.rcvbuf_fixed;
  s->options.sndbuf = t.options.sndbuf;
  s->options.no_delay = t.options.no_delay;
  s->local.address = domain == AF_INET ? sluice::IpAddress::from_v4(0) : sluice::IpAddress{};
  s->remote = s->local;
  t.sockets.emplace(s->serial, s);
  return t.add(s);
}

int tcp_shim_bind(tcp_shim* shim, int fd, const sockaddr* address, socklen_t size) {
  Call call{*shim->shim};
  const SocketPtr s = shim->shim->socket(fd);
  return s ? shim->shim->bind(*s, address, size) : -1;
}

int tcp_shim_listen(tcp_shim* shim, int fd, int backlog) {
  Call call{*shim->shim};
  const SocketPtr s = shim->shim->socket(fd);
  return s ? shim->shim->listen(*s, backlog) : -1;
}

int tcp_shim_accept(tcp_shim* shim, int fd, sockaddr* address, socklen_t* size) {
  return accept(shim, fd, address, size, 0);
}
int tcp_shim_accept4(tcp_shim* shim, int fd, sockaddr* address, socklen_t* size, int flags) {
  return accept(shim, fd, address, size, flags);
}

int tcp_shim_getsockname(tcp_shim* shim, int fd, sockaddr* address, socklen_t* size) {
  Call call{*shim->shim};
  const SocketPtr s = shim->shim->socket(fd);
  if (!s) return -1;
  if (!address || !size) return fail(EFAULT);
  if (static_cast<int>(*size) < 0) return fail(EINVAL);
  write_address(s->local, s->domain, address, size);
  return 0;
}

int tcp_shim_getpeername(tcp_shim* shim, int fd, sockaddr* address, socklen_t* size) {
  Call call{*shim->shim};
  const SocketPtr s = shim->shim->socket(fd);
  if (!s) return -1;
  if (!s->open || s->connecting) return fail(ENOTCONN);
  if (!address || !size) return fail(EFAULT);
  if (static_cast<int>(*size) < 0) return fail(EINVAL);
  write_address(s->remote, s->domain, address, size);
  return 0;
}

int tcp_shim_shutdown(tcp_shim* shim, int fd, int how) {
  Shim& t = *shim->shim;
  Call call{t};
  const SocketPtr s = t.socket(fd);
  if (!s) return -1;
  if (how < SHUT_RD || how > SHUT_RDWR) return fail(EINVAL);
  const bool reads = how != SHUT_WR, writes = how != SHUT_RD;
  if (s->listening) {
    if (reads) t.stop_listening(*s);
    t.changed();
    return 0;
  }
  if (s->open && s->connecting) {
    t.disconnect(*s);
    t.changed();
    return 0;
  }
  const bool closed = !s->open;
  s->shut_read |= reads;
  s->shut_write |= writes;
  if (s->open && writes) {
    t.feed_all(*s);
    t.stack->shutdown(s->id, t.now);
  }
  ++s->activity;
  t.changed();
  return closed ? fail(ENOTCONN) : 0;
}

int tcp_shim_close(tcp_shim* shim, int fd) {
  Shim& t = *shim->shim;
  Call call{t};
  const FilePtr file = t.take(fd);
  if (!file) return -1;
  file->closed = true;
  if (file->socket) t.close(call, std::static_pointer_cast<Socket>(file));
  t.dirty = true;
  return 0;
}
