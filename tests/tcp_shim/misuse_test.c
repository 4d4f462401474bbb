// Calls with what they cannot take, at moments when they cannot work: each test does the same over the kernel's
// loopback and over the shim's, writes down what every call returned, and expects the two to be the same. Long because
// it is a list.
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>

#ifndef __clang__  // these are the faults
#pragma GCC diagnostic ignored "-Wnonnull"
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#pragma GCC diagnostic ignored "-Wstringop-overread"
#endif

#include "tests/tcp_shim/pairs.h"

// What was returned, a line each; of the kernel and of the shim.
static char lines[2][2000][160];
static int count_of[2], shim_runs;

static void note(const char* what, long long result) {
  const int error = errno;
  if (count_of[shim_runs] < 2000)
    snprintf(lines[shim_runs][count_of[shim_runs]++], 160, "%s = %lld %s", what, result,
             result == -1 ? strerrorname_np(error) : "");
  errno = 0;
}
#define TRY(call) (errno = 0, note(#call, (long long)(call)))

static struct sockaddr_in a;
static struct sockaddr_in6 a6;
static struct pollfd p[3];
static struct epoll_event ev[4];
static struct iovec iov[4];
static struct msghdr m;
static struct pair q;
static const struct linger at_once = {1, 0};
static int fd, c, s, e, value, one = 1;
static socklen_t n;
static char buf[4096];

static int fresh(void) { return net_socket(AF_INET, SOCK_STREAM, 0); }
static void state_of(const char* whose, int of) {
  struct tcp_info told = {0};
  socklen_t size = sizeof told;
  char text[100];
  snprintf(text, sizeof text, "state of %s", whose);
  errno = 0;
  const int result = net_getsockopt(of, IPPROTO_TCP, TCP_INFO, &told, &size);
  note(text, result ? result : told.tcpi_state);
}

static void a_socket_that_did_nothing(void) {
  fd = fresh();
  TRY(net_read(fd, buf, 10));
  TRY(net_read(fd, buf, 0));
  TRY(net_recv(fd, buf, 0, 0));
  TRY(net_recv(fd, buf, 10, MSG_DONTWAIT));
  TRY(net_write(fd, buf, 10));
  TRY(net_write(fd, buf, 0));
  TRY(net_send(fd, buf, 10, MSG_DONTWAIT | MSG_NOSIGNAL));
  TRY(net_send(fd, buf, 1, MSG_OOB | MSG_NOSIGNAL));
  TRY(net_recv(fd, buf, 1, MSG_OOB));
  TRY(net_recv(fd, buf, 1, MSG_ERRQUEUE));
  TRY(net_shutdown(fd, SHUT_RDWR));
  TRY(net_shutdown(fd, 3));
  TRY(net_shutdown(fd, -1));
  TRY(net_getpeername(fd, &a, (n = sizeof a, &n)));
  TRY(net_getsockname(fd, &a, (n = sizeof a, &n)));
  TRY(net_getsockname(fd, NULL, &n));
  TRY(net_getsockname(fd, &a, NULL));
  n = (socklen_t)-1;
  TRY(net_getsockname(fd, &a, &n));
  n = 3;
  TRY(net_getsockname(fd, &a, &n));
  note("n", n);
  TRY(net_accept(fd, NULL, NULL));
  TRY(net_ioctl(fd, SIOCINQ, &value));
  TRY(net_ioctl(fd, SIOCOUTQ, &value));
  TRY(net_ioctl(fd, SIOCOUTQNSD, &value));
  TRY(net_ioctl(fd, SIOCINQ, NULL));
  TRY(net_ioctl(fd, FIONBIO, NULL));
  TRY(net_ioctl(fd, 0x1234, &value));
  TRY(net_ioctl(fd, SIOCATMARK, &value));
  state_of("fresh", fd);
  TRY(net_ready(fd, -1));
  TRY(net_fcntl(fd, F_GETFL, 0));
  TRY(net_fcntl(fd, F_SETFL, O_NONBLOCK));
  TRY(net_fcntl(fd, F_GETFL, 0));
  TRY(net_fcntl(fd, F_SETFL, O_RDWR));
  TRY(net_fcntl(fd, F_GETFL, 0));
  TRY(net_fcntl(fd, F_GETFD, 0));
  TRY(net_fcntl(fd, F_SETFD, FD_CLOEXEC));
  TRY(net_fcntl(fd, F_GETFD, 0));
  TRY(net_fcntl(fd, 9999, 0));
  TRY(net_connect(fd, NULL, 16));
  TRY(net_connect(fd, &a, 1));
  a = loopback4(1);
  TRY(net_connect(fd, &a, 8));
  a.sin_family = 99;
  TRY(net_connect(fd, &a, 16));
  a.sin_family = AF_UNSPEC;
  TRY(net_connect(fd, &a, 16));
  TRY(net_bind(fd, NULL, 16));
  TRY(net_bind(fd, &a, 2));
  a = loopback4(0);
  a.sin_family = 99;
  TRY(net_bind(fd, &a, 16));
  a = loopback4(0);
  a.sin_addr.s_addr = htonl(0x08080808);
  TRY(net_bind(fd, &a, 16));
  TRY(net_bind(fd, &a, 1000000));
  a = loopback4(0);
  TRY(net_connect(fd, &a, 1000000));
  a.sin_family = AF_UNSPEC;
  a.sin_addr.s_addr = 0;
  TRY(net_bind(fd, &a, 16));
  TRY(net_close(fd));
  TRY(net_close(fd));
  TRY(net_close(-1));
  TRY(net_read(fd, buf, 1));
}

static void sockets_that_cannot_be(void) {
  TRY(net_socket(AF_INET, SOCK_STREAM, 17));
  TRY(net_socket(AF_INET, 77, 0));
  TRY(net_socket(9999, SOCK_STREAM, 0));
  TRY(net_socket(AF_INET, SOCK_STREAM | 0x40000000, 0));
  TRY(net_socket(-1, SOCK_STREAM, 0));
  TRY(net_socket(AF_INET, SOCK_STREAM, -1));
  TRY(net_socket(AF_INET, SOCK_STREAM, 300));
  TRY(net_socket(AF_INET, SOCK_SEQPACKET, 0));
}

static void a_listener(void) {
  fd = listening(AF_INET, 1);
  TRY(net_read(fd, buf, 10));
  TRY(net_read(fd, buf, 0));
  TRY(net_recv(fd, buf, 10, MSG_DONTWAIT));
  TRY(net_recv(fd, buf, 1, MSG_OOB));
  TRY(net_write(fd, buf, 10));
  TRY(net_send(fd, buf, 0, MSG_NOSIGNAL));
  TRY(net_ioctl(fd, SIOCINQ, &value));
  TRY(net_ioctl(fd, SIOCOUTQ, &value));
  TRY(net_ioctl(fd, SIOCOUTQNSD, &value));
  TRY(net_listen(fd, -1));
  TRY(net_listen(fd, 0));
  state_of("listener", fd);
  TRY(net_ready(fd, -1));
  a = loopback4(1);
  TRY(net_connect(fd, &a, 16));
  TRY(net_getpeername(fd, &a, (n = sizeof a, &n)));
  TRY(net_fcntl(fd, F_SETFL, O_NONBLOCK));
  TRY(net_accept(fd, NULL, NULL));
  TRY(net_accept4(fd, NULL, NULL, 0x1));
  TRY(net_accept4(fd, NULL, NULL, SOCK_NONBLOCK));
  n = (socklen_t)-1;
  TRY(net_accept(fd, &a, &n));
  a = loopback4(0);
  TRY(net_bind(fd, &a, 16));
  TRY(net_shutdown(fd, SHUT_WR));
  TRY(net_shutdown(fd, SHUT_RD));
  state_of("listener shut", fd);
  TRY(net_accept(fd, NULL, NULL));
  TRY(net_ready(fd, -1));
  TRY(net_listen(fd, 1));
  TRY(net_close(fd));
}

static void buffers_that_are_none(void) {
  q = connected(AF_INET);
  TRY(net_write(q.client, NULL, 10));
  TRY(net_write(q.client, NULL, 0));
  TRY(net_send(q.client, NULL, 10, MSG_NOSIGNAL));
  TRY(net_writev(q.client, NULL, 1));
  TRY(net_writev(q.client, NULL, 0));
  TRY(net_writev(q.client, iov, -1));
  TRY(net_writev(q.client, iov, 1025));
  TRY(net_sendmsg(q.client, NULL, 0));
  memset(&m, 0, sizeof m);
  TRY(net_sendmsg(q.client, &m, 0));
  m.msg_iovlen = 1;
  TRY(net_sendmsg(q.client, &m, 0));
  m.msg_iovlen = 1025;
  m.msg_iov = iov;
  TRY(net_sendmsg(q.client, &m, 0));
  iov[0] = (struct iovec){NULL, 10};
  TRY(net_writev(q.client, iov, 1));
  iov[0] = (struct iovec){NULL, 0};
  iov[1] = (struct iovec){buf, 4};
  TRY(net_writev(q.client, iov, 2));
  iov[0] = (struct iovec){buf, (size_t)-1};
  TRY(net_writev(q.client, iov, 1));
  TRY(net_write(q.client, buf, (size_t)-1));
  net_settle();
  TRY(net_ioctl(q.server, SIOCINQ, &value));
  note("inq", value);
  TRY(net_read(q.server, NULL, 4));
  TRY(net_recv(q.server, NULL, 4, MSG_DONTWAIT));
  TRY(net_recv(q.server, NULL, 4, MSG_DONTWAIT | MSG_PEEK));
  TRY(net_recv(q.server, buf, 4, MSG_PEEK));
  TRY(net_recv(q.server, buf, 2, MSG_PEEK));
  TRY(net_read(q.server, buf, 0));
  TRY(net_recv(q.server, NULL, 3, MSG_TRUNC));
  TRY(net_recv(q.server, buf, 0, MSG_WAITALL));
  TRY(net_readv(q.server, NULL, 1));
  TRY(net_readv(q.server, NULL, 0));
  TRY(net_readv(q.server, iov, -1));
  TRY(net_readv(q.server, iov, 1025));
  TRY(net_recvmsg(q.server, NULL, 0));
  memset(&m, 0, sizeof m);
  TRY(net_recvmsg(q.server, &m, MSG_DONTWAIT));
  iov[0] = (struct iovec){buf, 10};
  m.msg_iov = iov;
  m.msg_iovlen = 1;
  m.msg_flags = 77;
  TRY(net_recvmsg(q.server, &m, MSG_DONTWAIT));
  note("flags", m.msg_flags);
  TRY(net_recvmsg(q.server, &m, MSG_DONTWAIT));
  a = loopback4(9);
  n = sizeof a;
  TRY(net_write(q.client, "ab", 2));
  net_settle();
  TRY(net_recvfrom(q.server, buf, 10, 0, &a, &n));
  note("namelen", n);
  TRY(net_sendto(q.client, "ab", 2, 0, &a, sizeof a));
  TRY(net_sendto(q.client, "ab", 2, 0, &a, 1));
  TRY(net_sendto(q.client, "ab", 2, 0, NULL, 99));
  net_settle();
  TRY(net_recv(q.server, buf, 100, MSG_WAITALL | MSG_DONTWAIT));
  TRY(net_recv(q.server, buf, 1, MSG_OOB));
  TRY(net_recv(q.server, buf, 1, MSG_DONTWAIT | MSG_OOB));
  TRY(net_connect(q.client, &a, 16));
  TRY(net_listen(q.client, 1));
  a = loopback4(0);
  TRY(net_bind(q.client, &a, 16));
  TRY(net_accept(q.client, NULL, NULL));
  n = 0;
  TRY(net_getpeername(q.client, &a, &n));
  note("n", n);
  state_of("client", q.client);
  state_of("server", q.server);
  TRY(net_ready(q.client, -1));
  TRY(net_ioctl(q.client, SIOCOUTQ, &value));
  note("outq", value);
}

static void options(void) {
  q = connected(AF_INET);
  n = 4;
  TRY(net_getsockopt(q.client, SOL_SOCKET, SO_ERROR, NULL, &n));
  TRY(net_getsockopt(q.client, SOL_SOCKET, SO_ERROR, &value, NULL));
  n = (socklen_t)-1;
  TRY(net_getsockopt(q.client, SOL_SOCKET, SO_TYPE, &value, &n));
  n = 0;
  TRY(net_getsockopt(q.client, SOL_SOCKET, SO_TYPE, &value, &n));
  note("n", n);
  n = 2;
  value = 0;
  TRY(net_getsockopt(q.client, SOL_SOCKET, SO_TYPE, &value, &n));
  note("n", n);
  note("value", value);
  n = 4;
  TRY(net_getsockopt(q.client, 999, 1, &value, &n));
  TRY(net_getsockopt(q.client, IPPROTO_TCP, 9999, &value, &n));
  TRY(net_getsockopt(q.client, SOL_SOCKET, 9999, &value, &n));
  TRY(net_setsockopt(q.client, SOL_SOCKET, SO_KEEPALIVE, NULL, 4));
  TRY(net_setsockopt(q.client, SOL_SOCKET, SO_KEEPALIVE, &one, 3));
  TRY(net_setsockopt(q.client, SOL_SOCKET, SO_KEEPALIVE, &one, 1000));
  TRY(net_setsockopt(q.client, SOL_SOCKET, SO_KEEPALIVE, &one, (socklen_t)-1));
  TRY(net_setsockopt(q.client, 999, 1, &one, 4));
  TRY(net_setsockopt(q.client, IPPROTO_TCP, 9999, &one, 4));
  TRY(net_setsockopt(q.client, SOL_SOCKET, SO_LINGER, &one, 4));
  TRY(net_set(q.client, SOL_SOCKET, SO_ERROR, 1));
  TRY(net_set(q.client, SOL_SOCKET, SO_TYPE, 1));
  TRY(net_set(q.client, SOL_SOCKET, 9999, 1));
  const int tcpn[] = {TCP_NODELAY,      TCP_MAXSEG,        TCP_CORK,    TCP_KEEPIDLE,     TCP_KEEPINTVL,
                      TCP_KEEPCNT,      TCP_SYNCNT,        TCP_LINGER2, TCP_DEFER_ACCEPT, TCP_QUICKACK,
                      TCP_USER_TIMEOUT, TCP_NOTSENT_LOWAT, TCP_INQ};
  const int vals[] = {-1, 0, 1, 2, 87, 88, 127, 128, 1000, 32767, 32768, 65535, 1 << 30, INT_MAX, INT_MIN};
  for (unsigned i = 0; i < sizeof tcpn / 4; ++i) {
    for (unsigned j = 0; j < sizeof vals / 4; ++j) {
      const int t = fresh();
      char text[80];
      errno = 0;
      long r = net_set(t, IPPROTO_TCP, tcpn[i], vals[j]);
      snprintf(text, sizeof text, "set TCP %d to %d", tcpn[i], vals[j]);
      note(text, r);
      snprintf(text, sizeof text, "TCP option %d", tcpn[i]);
      note(text, net_option(t, IPPROTO_TCP, tcpn[i]));
      net_close(t);
    }
  }
  const int soln[] = {SO_REUSEADDR, SO_KEEPALIVE, SO_RCVLOWAT, SO_OOBINLINE,
                      SO_BROADCAST, SO_DONTROUTE, SO_SNDBUF,   SO_RCVBUF};
  for (unsigned i = 0; i < sizeof soln / 4; ++i)
    for (unsigned j = 0; j < sizeof vals / 4; ++j) {
      const int t = fresh();
      char text[80];
      errno = 0;
      long r = net_set(t, SOL_SOCKET, soln[i], vals[j]);
      snprintf(text, sizeof text, "set SOL %d to %d", soln[i], vals[j]);
      note(text, r);
      if ((soln[i] != SO_SNDBUF && soln[i] != SO_RCVBUF && soln[i] != SO_RCVLOWAT) ||
          (vals[j] >= 0 && vals[j] < 60000)) {
        snprintf(text, sizeof text, "SOL_SOCKET option %d", soln[i]);
        note(text, net_option(t, SOL_SOCKET, soln[i]));
      }
      net_close(t);
    }
}

static void poll_of_odd_lists(void) {
  q = connected(AF_INET);
  p[0] = (struct pollfd){.fd = -1, .events = POLLIN, .revents = 9};
  p[1] = (struct pollfd){.fd = q.client, .events = POLLIN | POLLOUT};
  p[2] = (struct pollfd){.fd = 98765, .events = POLLIN};
  TRY(net_poll(p, 3, 0));
  note("r0", p[0].revents);
  note("r1", p[1].revents);
  note("r2", p[2].revents);
  TRY(net_poll(NULL, 0, 0));
  TRY(net_poll(NULL, 0, 5));
  TRY(net_poll(NULL, 1, 0));
  TRY(net_poll(p, 0, 0));
  p[1].events = 0;
  TRY(net_poll(p + 1, 1, 0));
}

static void epoll_of_odd_things(void) {
  q = connected(AF_INET);
  e = net_epoll_create();
  TRY(net_epoll_create1(77));
  TRY(net_epoll_wait(e, ev, 0, 0));
  TRY(net_epoll_wait(e, ev, -1, 0));
  TRY(net_epoll_wait(e, NULL, 1, 0));
  TRY(net_epoll_wait(q.client, ev, 1, 0));
  TRY(net_epoll_wait(98765, ev, 1, 0));
  TRY(net_epoll_ctl(e, EPOLL_CTL_ADD, e, ev));
  TRY(net_epoll_ctl(e, EPOLL_CTL_ADD, q.client, NULL));
  TRY(net_epoll_ctl(e, 99, q.client, ev));
  TRY(net_epoll_ctl(q.client, EPOLL_CTL_ADD, e, ev));
  TRY(net_epoll_ctl(e, EPOLL_CTL_DEL, q.client, NULL));
  ev[0] = (struct epoll_event){.events = EPOLLIN | EPOLLOUT, .data.fd = 5};
  TRY(net_epoll_ctl(e, EPOLL_CTL_MOD, q.client, ev));
  TRY(net_epoll_ctl(e, EPOLL_CTL_ADD, q.client, ev));
  TRY(net_epoll_ctl(e, EPOLL_CTL_ADD, q.client, ev));
  TRY(net_epoll_wait(e, ev, 4, 0));
  note("ev", ev[0].events);
  ev[0].events = EPOLLIN | EPOLLEXCLUSIVE;
  TRY(net_epoll_ctl(e, EPOLL_CTL_MOD, q.client, ev));
  ev[0].events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT;
  TRY(net_epoll_ctl(e, EPOLL_CTL_ADD, q.server, ev));
  ev[0].events = 0;
  TRY(net_epoll_ctl(e, EPOLL_CTL_MOD, q.client, ev));
  TRY(net_epoll_wait(e, ev, 4, 0));
  TRY(net_epoll_wait(e, ev, 4, 3));
  TRY(net_epoll_wait(e, ev, INT_MAX, 0));
  TRY(net_read(e, buf, 1));
  TRY(net_write(e, buf, 1));
  TRY(net_listen(e, 1));
  TRY(net_shutdown(e, 0));
  TRY(net_ready(e, POLLIN));
}

static void after_the_fin(void) {
  q = connected(AF_INET);
  e = net_epoll_create();
  TRY(net_shutdown(q.client, SHUT_WR));
  TRY(net_write(q.client, "x", 1));
  net_settle();
  TRY(net_ready(q.server, -1));
  TRY(net_ready(q.client, -1));
  state_of("server", q.server);
  TRY(net_read(q.server, buf, 1));
  TRY(net_read(q.server, buf, 1));
  TRY(net_shutdown(q.client, SHUT_WR));
  TRY(net_close(q.client));
  TRY(net_write(q.server, "abc", 3));
  net_settle();
  state_of("server", q.server);
  TRY(net_ready(q.server, -1));
  TRY(net_option(q.server, SOL_SOCKET, SO_ERROR));
  TRY(net_option(q.server, SOL_SOCKET, SO_ERROR));
  TRY(net_write(q.server, "x", 1));
  TRY(net_read(q.server, buf, 1));
  TRY(net_getpeername(q.server, &a, (n = sizeof a, &n)));
  TRY(net_getsockname(q.server, &a, (n = sizeof a, &n)));
  TRY(net_shutdown(q.server, SHUT_RDWR));
  TRY(net_ioctl(q.server, SIOCINQ, &value));
  TRY(net_close(q.server));
  TRY(net_close(q.listener));
  TRY(net_close(e));
  TRY(net_epoll_wait(e, ev, 1, 0));
}

static void after_a_reset(void) {
  q = connected(AF_INET);
  TRY(net_setsockopt(q.client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
  TRY(net_write(q.client, "abc", 3));
  net_settle();
  TRY(net_close(q.client));
  net_settle();
  TRY(net_ready(q.server, -1));
  state_of("server", q.server);
  TRY(net_ioctl(q.server, SIOCINQ, &value));
  TRY(net_recv(q.server, buf, 10, MSG_PEEK));
  TRY(net_read(q.server, buf, 10));
  TRY(net_read(q.server, buf, 10));
  TRY(net_write(q.server, buf, 10));
  TRY(net_ready(q.server, -1));
  TRY(net_getpeername(q.server, &a, (n = sizeof a, &n)));
  TRY(net_setsockopt(q.server, SOL_SOCKET, SO_KEEPALIVE, &one, 4));
  TRY(net_listen(q.server, 1));
  a = loopback4(1);
  TRY(net_connect(q.server, &a, 16));
  q.client = -1;
  end(&q);
}

static void reset_before_accept(void) {
  fd = listening(AF_INET, 5);
  a = name_of(fd);
  c = fresh();
  TRY(net_connect(c, &a, 16));
  TRY(net_write(c, "hi", 2));
  net_settle();
  TRY(net_setsockopt(c, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
  TRY(net_close(c));
  net_settle();
  TRY(net_ready(fd, POLLIN));
  s = net_accept(fd, &a, (n = sizeof a, &n));
  note("accepted", s >= 0);
  TRY(net_read(s, buf, 10));
  TRY(net_read(s, buf, 10));
  TRY(net_write(s, buf, 1));
  TRY(net_close(s));
}

static void ended_before_accept(void) {
  fd = listening(AF_INET, 5);
  a = name_of(fd);
  c = fresh();
  TRY(net_connect(c, &a, 16));
  TRY(net_write(c, "hi", 2));
  TRY(net_close(c));
  net_settle();
  s = net_accept(fd, NULL, NULL);
  TRY(net_read(s, buf, 10));
  TRY(net_read(s, buf, 10));
  TRY(net_write(s, buf, 1));
  net_settle();
  TRY(net_write(s, buf, 1));
  TRY(net_option(s, SOL_SOCKET, SO_ERROR));
  TRY(net_close(s));
  TRY(net_close(fd));
}

static void connect_step_by_step(void) {
  fd = listening(AF_INET, 5);
  a = name_of(fd);
  c = net_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  TRY(net_connect(c, &a, 16));
  net_settle();
  TRY(net_ready(c, -1));
  TRY(net_option(c, SOL_SOCKET, SO_ERROR));
  TRY(net_connect(c, &a, 16));
  TRY(net_connect(c, &a, 16));
  TRY(net_close(fd));
  TRY(net_close(c));
  c = net_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  TRY(net_connect(c, &a, 16));
  net_settle();
  TRY(net_ready(c, -1));
  TRY(net_read(c, buf, 1));
  TRY(net_write(c, buf, 1));
  TRY(net_option(c, SOL_SOCKET, SO_ERROR));
  TRY(net_option(c, SOL_SOCKET, SO_ERROR));
  TRY(net_connect(c, &a, 16));
  net_settle();
  TRY(net_connect(c, &a, 16));
  TRY(net_getpeername(c, &a, (n = sizeof a, &n)));
  state_of("refused", c);
  TRY(net_close(c));
}

static void ip6(void) {
  fd = net_socket(AF_INET6, SOCK_STREAM, 0);
  TRY(net_option(fd, IPPROTO_IPV6, IPV6_V6ONLY));
  TRY(net_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1));
  TRY(net_option(fd, IPPROTO_IPV6, IPV6_V6ONLY));
  a6 = loopback6(0);
  TRY(net_bind(fd, &a6, 20));
  a6.sin6_family = AF_INET;
  TRY(net_bind(fd, &a6, sizeof a6));
  a6 = loopback6(0);
  TRY(net_bind(fd, &a6, sizeof a6));
  TRY(net_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0));
  TRY(net_bind(fd, &a6, sizeof a6));
  a = loopback4(1);
  TRY(net_connect(fd, &a, sizeof a));
  TRY(net_close(fd));
  fd = fresh();
  TRY(net_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1));
  TRY(net_option(fd, IPPROTO_IPV6, IPV6_V6ONLY));
  TRY(net_close(fd));
}

static void one_port_twice(void) {
  fd = listening(AF_INET, 1);
  a = name_of(fd);
  c = fresh();
  TRY(net_bind(c, &a, 16));
  TRY(net_set(c, SOL_SOCKET, SO_REUSEADDR, 1));
  TRY(net_bind(c, &a, 16));
  TRY(net_close(fd));
  TRY(net_bind(c, &a, 16));
  TRY(net_bind(c, &a, 16));
  TRY(net_listen(c, 1));
  TRY(net_listen(c, 5));
  TRY(net_close(c));
}

static void twice_the_same(const char* name, void (*run)(void)) {
  for (shim_runs = 0; shim_runs < 2; ++shim_runs) {
    net = shim_runs ? tcp_shim_new("blocking=advance") : NULL;
    count_of[shim_runs] = 0;
    memset(&m, 0, sizeof m);
    value = 0;
    run();
    if (net) tcp_shim_free(net);
  }
  int same = count_of[0] > 0 && count_of[0] == count_of[1];
  for (int i = 0; i < count_of[0] && i < count_of[1]; ++i)
    if (strcmp(lines[0][i], lines[1][i])) {
      if (same) printf("not ok %s # %s, the shim: %s\n", name, lines[0][i], lines[1][i]);
      fprintf(stderr, "  Linux: %s\n   shim: %s\n", lines[0][i], lines[1][i]);
      same = 0;
    }
  if (same) printf("ok %s\n", name);
  tests_failed += !same;
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
#define SAME(test) twice_the_same(#test, test)
  SAME(a_socket_that_did_nothing);
  SAME(sockets_that_cannot_be);
  SAME(a_listener);
  SAME(buffers_that_are_none);
  SAME(options);
  SAME(poll_of_odd_lists);
  SAME(epoll_of_odd_things);
  SAME(after_the_fin);
  SAME(after_a_reset);
  SAME(reset_before_accept);
  SAME(ended_before_accept);
  SAME(connect_step_by_step);
  SAME(ip6);
  SAME(one_port_twice);
  return tests_failed != 0;
}
