// getsockopt and setsockopt.
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cstring>

#include "tests/support/tcp_shim/shim.h"
#include "tests/support/tcp_shim/tcp_info.h"
#include "tests/support/tcp_shim/tcp_shim.h"

namespace sluice::shim {

namespace {

constexpr int buffer_max = 8 << 20;      // rmem_max and wmem_max
constexpr int ip_local_port_range = 51;  // of linux/in.h, which does not go with netinet/in.h
constexpr int rcvbuf_min = 2304, sndbuf_min = 4608;

// Twice what was asked for, as the kernel keeps it for its own overhead.
int doubled(int asked, int low) { return std::max(asked < 0 || asked > buffer_max ? buffer_max : asked, low / 2) * 2; }

// Options that are told again and do nothing.
bool kept(int level, int name) {
  if (level == SOL_SOCKET)
    return name == SO_OOBINLINE || name == SO_PRIORITY || name == SO_MARK || name == SO_BROADCAST ||
           name == SO_DONTROUTE || name == SO_DEBUG;
  if (level == IPPROTO_TCP) return name == TCP_WINDOW_CLAMP;
  return level == IPPROTO_IP || level == IPPROTO_IPV6;
}

int set_socket(const Shim& t, Socket& s, int name, int value) {
  SocketOptions& o = s.options;
  switch (name) {
    case SO_REUSEADDR: o.reuse_address = value; return 0;
    case SO_REUSEPORT: o.reuse_port = value; return 0;
    case SO_KEEPALIVE: o.keepalive = value; return 0;
    case SO_RCVBUF:
    case SO_RCVBUFFORCE:
      o.rcvbuf = doubled(value, rcvbuf_min);
      o.rcvbuf_fixed = true;
      return 0;
    case SO_SNDBUF:
    case SO_SNDBUFFORCE:
      o.sndbuf = doubled(value, sndbuf_min);
      o.sndbuf_fixed = true;
      return 0;
    case SO_RCVLOWAT: {
      const int most = (o.rcvbuf_fixed ? o.rcvbuf : t.options.rcvbuf_max) / 2;
      o.rcvlowat = value < 0 ? most : std::clamp(value, 1, most);
      return 0;
    }
    case SO_ERROR:
    case SO_TYPE:
    case SO_DOMAIN:
    case SO_PROTOCOL:
    case SO_ACCEPTCONN: return ENOPROTOOPT;
    default: return ENOPROTOOPT;
  }
}

// TCP_DEFER_ACCEPT is kept in retransmissions of the SYN-ACK, at 1, 2, 4... s, at most 120, and told in seconds again.
int tries_of(int seconds) {
  int tries = seconds > 0;
  for (int wait = 1, period = 1; tries && seconds > period && tries < 255; ++tries)
    period += wait = std::min(2 * wait, 120);
  return tries;
}
int seconds_of(int tries) {
  int period = tries > 0;
  for (int wait = 1; --tries > 0;) period += wait = std::min(2 * wait, 120);
  return period;
}

int set_within(int& field, int value, int low, int high) {
  if (value < low || value > high) return EINVAL;
  field = value;
  return 0;
}

int set_tcp(Socket& s, int name, int value) {
  SocketOptions& o = s.options;
  switch (name) {
    case TCP_NODELAY: o.no_delay = value; return 0;
    case TCP_CORK: o.cork = value; return 0;
    case TCP_QUICKACK: o.quick_ack = value != 0; return 0;
    case TCP_MAXSEG: return value == 0 ? (o.max_segment = 0) : set_within(o.max_segment, value, 88, 32767);
    case TCP_KEEPIDLE: return set_within(o.keep_idle, value, 1, 32767);
    case TCP_KEEPINTVL: return set_within(o.keep_interval, value, 1, 32767);
    case TCP_KEEPCNT: return set_within(o.keep_count, value, 1, 127);
    case TCP_SYNCNT: return set_within(o.syn_count, value, 1, 127);
    case TCP_LINGER2: o.linger2 = value < 0 ? -1 : std::min(value, 120); return 0;
    case TCP_DEFER_ACCEPT: o.defer_accept = tries_of(value); return 0;
    case TCP_NOTSENT_LOWAT: o.unsent_low = static_cast<unsigned>(value); return 0;
    case TCP_INQ:
      if (value != 0 && value != 1) return EINVAL;
      o.tell_inq = value;
      return 0;
    case TCP_USER_TIMEOUT:
      if (value < 0) return EINVAL;
      o.user_timeout_ms = static_cast<unsigned>(value);
      return 0;
    default: return ENOPROTOOPT;
  }
}

// The upper bound in the upper half, as in linux/in.h; 0: the system's.
int set_port_range(Socket& s, std::uint32_t value) {
  const auto low = static_cast<std::uint16_t>(value), high = static_cast<std::uint16_t>(value >> 16);
  if (low && high && low > high) return EINVAL;
  s.options.port_low = low;
  s.options.port_high = high;
  s.options.kept[{IPPROTO_IP, ip_local_port_range}] = static_cast<int>(value);
  return 0;
}

int set_option(const Shim& t, Socket& s, int level, int name, const void* value, socklen_t size) {
  if (level == SOL_SOCKET && name == SO_LINGER) {
    if (size < sizeof(linger)) return EINVAL;
    std::memcpy(&s.options.lingers, value, sizeof(linger));
    return 0;
  }
  if (level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO)) {
    timeval time;
    if (size < sizeof time) return EINVAL;
    std::memcpy(&time, value, sizeof time);
    if (time.tv_usec < 0 || time.tv_usec >= 1'000'000) return EDOM;
    (name == SO_RCVTIMEO ? s.options.receive_timeout : s.options.send_timeout) = time;
    return 0;
  }
  if (level == IPPROTO_TCP && name == TCP_CONGESTION)
    return std::string_view{static_cast<const char*>(value), strnlen(static_cast<const char*>(value), size)} == "cubic"
               ? 0
               : ENOENT;
  int number = 0;
  if (level == IPPROTO_IP && size > 0 && size < sizeof number) {  // Linux takes a char there
    number = *static_cast<const std::uint8_t*>(value);
  } else if (size < sizeof number) {
    return EINVAL;
  } else {
    std::memcpy(&number, value, sizeof number);
  }
  if (level == IPPROTO_IP && name == ip_local_port_range) return set_port_range(s, static_cast<std::uint32_t>(number));
  if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY) {
    if (s.domain != AF_INET6) return ENOPROTOOPT;
    if (s.bound) return EINVAL;
    s.options.v6_only = number;
    return 0;
  }
  if (level == IPPROTO_IPV6 && s.domain != AF_INET6) return ENOPROTOOPT;
  if (kept(level, name)) {
    const bool a_switch = level == SOL_SOCKET && name != SO_PRIORITY && name != SO_MARK;
    s.options.kept[{level, name}] = a_switch ? number != 0 : number;
    return 0;
  }
  if (level == SOL_SOCKET) return set_socket(t, s, name, number);
  return level == IPPROTO_TCP ? set_tcp(s, name, number) : ENOPROTOOPT;
}

// The segment size of a connection, or what one would be clamped to.
int max_segment(const Shim& t, const Socket& s) {
  if (!s.open && s.options.max_segment) return s.options.max_segment;
  if (!s.open || s.connecting) return 536;
  return segment_size(t, t.info(s));
}

int get_tcp(const Shim& t, const Socket& s, int name, int& out) {
  const SocketOptions& o = s.options;
  switch (name) {
    case TCP_NODELAY: out = o.no_delay; return 0;
    case TCP_CORK: out = o.cork; return 0;
    case TCP_QUICKACK: out = o.quick_ack != 0; return 0;
    case TCP_MAXSEG: out = max_segment(t, s); return 0;
    case TCP_KEEPIDLE: out = o.keep_idle; return 0;
    case TCP_KEEPINTVL: out = o.keep_interval; return 0;
    case TCP_KEEPCNT: out = o.keep_count; return 0;
    case TCP_SYNCNT: out = o.syn_count ? o.syn_count : t.options.syn_retries; return 0;
    case TCP_LINGER2:
      out = o.linger2 < 0 ? -1 : o.linger2 ? o.linger2 : static_cast<int>(t.options.fin_timeout.millis() / 1000);
      return 0;
    case TCP_DEFER_ACCEPT: out = seconds_of(o.defer_accept); return 0;
    case TCP_USER_TIMEOUT: out = static_cast<int>(o.user_timeout_ms); return 0;
    case TCP_NOTSENT_LOWAT: out = static_cast<int>(o.unsent_low); return 0;
    case TCP_INQ: out = o.tell_inq; return 0;
    default: return ENOPROTOOPT;
  }
}

int get_socket(Socket& s, int name, int& out) {
  const SocketOptions& o = s.options;
  switch (name) {
    case SO_ERROR: out = s.error ? std::exchange(s.error, 0) : std::exchange(s.soft_error, 0); return 0;
    case SO_TYPE: out = SOCK_STREAM; return 0;
    case SO_DOMAIN: out = s.domain; return 0;
    case SO_PROTOCOL: out = IPPROTO_TCP; return 0;
    case SO_ACCEPTCONN: out = s.listening; return 0;
    case SO_RCVBUF: out = o.rcvbuf; return 0;
    case SO_SNDBUF: out = o.sndbuf; return 0;
    case SO_RCVLOWAT: out = o.rcvlowat; return 0;
    case SO_SNDLOWAT: out = 1; return 0;
    case SO_REUSEADDR: out = o.reuse_address; return 0;
    case SO_REUSEPORT: out = o.reuse_port; return 0;
    case SO_KEEPALIVE: out = o.keepalive; return 0;
    default: return ENOPROTOOPT;
  }
}

int put(const void* from, std::size_t n, void* value, socklen_t* size) {
  n = std::min<std::size_t>(n, *size);
  std::memcpy(value, from, n);
  *size = static_cast<socklen_t>(n);
  return 0;
}

int get_option(Shim& t, Socket& s, int level, int name, void* value, socklen_t* size) {
  if (level == SOL_SOCKET && name == SO_LINGER) return put(&s.options.lingers, sizeof(linger), value, size);
  if (level == SOL_SOCKET && name == SO_RCVTIMEO) return put(&s.options.receive_timeout, sizeof(timeval), value, size);
  if (level == SOL_SOCKET && name == SO_SNDTIMEO) return put(&s.options.send_timeout, sizeof(timeval), value, size);
  if (level == IPPROTO_TCP && name == TCP_CONGESTION) {
    const char text[16] = "cubic";  // TCP_CA_NAME_MAX
    return put(text, sizeof text, value, size);
  }
  if (level == IPPROTO_TCP && name == TCP_INFO) return put_tcp_info(t, s, value, size);
  int number = 0, error = 0;
  if (level == IPPROTO_IPV6 && s.domain != AF_INET6) return EOPNOTSUPP;
  if (level == SOL_SOCKET && name == SO_MEMINFO) {  // SK_MEMINFO_*: what is received, its bound, sent, its bound, ...
    const std::uint32_t sizes[9] = {t.readable(s),
                                    static_cast<std::uint32_t>(s.options.rcvbuf),
                                    0,
                                    static_cast<std::uint32_t>(s.options.sndbuf),
                                    0,
                                    t.send_queue(s)};
    return put(sizes, sizeof sizes, value, size);
  }
  if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY) {
    number = s.options.v6_only;
  } else if (kept(level, name)) {
    number = s.options.kept[{level, name}];
  } else {
    error = level == SOL_SOCKET    ? get_socket(s, name, number)
            : level == IPPROTO_TCP ? get_tcp(t, s, name, number)
                                   : EOPNOTSUPP;
  }
  return error ? error : put(&number, sizeof number, value, size);
}

}  // namespace

void Shim::apply_options(Socket& s) {
  const SocketOptions& o = s.options;
  tcp::Settings& to = stack->settings(s.settings());
  to = stack->settings(0);
  to.receive_limit = static_cast<std::uint32_t>(o.rcvbuf_fixed ? o.rcvbuf : options.rcvbuf_max);
  to.send_limit = static_cast<std::uint32_t>(o.sndbuf);
  if (o.max_segment) to.mss_max = static_cast<std::uint16_t>(std::min<int>(o.max_segment, to.mss_max));
  to.keepalive_probes = static_cast<std::uint8_t>(o.keepalive ? o.keep_count : 0);
  to.keepalive_idle = Nanos{1'000'000'000} * o.keep_idle;
  to.keepalive_interval = Nanos{1'000'000'000} * o.keep_interval;
  if (o.user_timeout_ms) {
    to.user_timeout = Nanos{1'000'000} * std::min(o.user_timeout_ms, 60'000'000u);
    if (o.keepalive) {  // as Linux: not the number of probes ends it then, but the time
      const Nanos probing = std::max(to.user_timeout - to.keepalive_idle, Nanos{1});
      const std::int64_t probes = (probing.ns + to.keepalive_interval.ns - 1) / to.keepalive_interval.ns;
      to.keepalive_probes = static_cast<std::uint8_t>(std::min<std::int64_t>(probes, 255));
    }
  }
  to.nagle = !o.no_delay && s.pieces.empty();
  to.cork = o.cork || s.held;
  to.more = s.more;
  if (o.quick_ack == 1) to.delayed_ack = {};
  if (s.open) stack->use(s.id, s.settings(), now);
}

void Shim::push(Socket& s) {
  tcp::Settings& to = stack->settings(s.settings());
  const bool corked = std::exchange(to.cork, false), waits = std::exchange(to.nagle, false);
  stack->output(wire, now);
  to.cork = corked;
  to.nagle = waits;
}

}  // namespace sluice::shim

using namespace sluice::shim;

int tcp_shim_getsockopt(tcp_shim* shim, int fd, int level, int name, void* value, socklen_t* size) {
  Call call{*shim->shim};
  const SocketPtr s = shim->shim->socket(fd);
  if (!s) return -1;
  if (!value || !size) return fail(EFAULT);
  if (static_cast<int>(*size) < 0) return fail(EINVAL);
  const int error = get_option(*shim->shim, *s, level, name, value, size);
  return error ? fail(error) : 0;
}

int tcp_shim_setsockopt(tcp_shim* shim, int fd, int level, int name, const void* value, socklen_t size) {
  Shim& t = *shim->shim;
  Call call{t};
  const SocketPtr s = t.socket(fd);
  if (!s) return -1;
  if (!value) return fail(EFAULT);
  if (static_cast<int>(size) < 0) return fail(EINVAL);
  if (const int error = set_option(t, *s, level, name, value, size)) return fail(error);
  t.apply_options(*s);
  if (level == IPPROTO_TCP && name == TCP_NODELAY && s->options.no_delay) t.push(*s);
  t.changed();
  return 0;
}
