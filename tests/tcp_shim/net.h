// net.h - the socket calls of a test that runs twice: over the kernel's loopback and over tcp_shim's, so that what is
// expected of the shim is what Linux does.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/support/tcp_shim/tcp_shim.h"

// NULL: the kernel's.
static tcp_shim* net;

#define NET(name, ...) (net ? tcp_shim_##name(net, __VA_ARGS__) : name(__VA_ARGS__))

static inline int net_socket(int domain, int type, int protocol) { return NET(socket, domain, type, protocol); }
static inline int net_bind(int fd, const void* a, socklen_t n) { return NET(bind, fd, (const struct sockaddr*)a, n); }
static inline int net_listen(int fd, int backlog) { return NET(listen, fd, backlog); }
static inline int net_accept(int fd, void* a, socklen_t* n) { return NET(accept, fd, (struct sockaddr*)a, n); }
static inline int net_accept4(int fd, void* a, socklen_t* n, int flags) {
  return NET(accept4, fd, (struct sockaddr*)a, n, flags);
}
static inline int net_connect(int fd, const void* a, socklen_t n) {
  return NET(connect, fd, (const struct sockaddr*)a, n);
}
static inline int net_getsockname(int fd, void* a, socklen_t* n) {
  return NET(getsockname, fd, (struct sockaddr*)a, n);
}
static inline int net_getpeername(int fd, void* a, socklen_t* n) {
  return NET(getpeername, fd, (struct sockaddr*)a, n);
}
static inline int net_shutdown(int fd, int how) { return NET(shutdown, fd, how); }
static inline int net_close(int fd) { return NET(close, fd); }
static inline ssize_t net_read(int fd, void* to, size_t n) { return NET(read, fd, to, n); }
static inline ssize_t net_readv(int fd, const struct iovec* to, int n) { return NET(readv, fd, to, n); }
static inline ssize_t net_recv(int fd, void* to, size_t n, int flags) { return NET(recv, fd, to, n, flags); }
static inline ssize_t net_recvfrom(int fd, void* to, size_t n, int flags, void* a, socklen_t* an) {
  return NET(recvfrom, fd, to, n, flags, (struct sockaddr*)a, an);
}
static inline ssize_t net_recvmsg(int fd, struct msghdr* m, int flags) { return NET(recvmsg, fd, m, flags); }
static inline ssize_t net_write(int fd, const void* from, size_t n) { return NET(write, fd, from, n); }
static inline ssize_t net_writev(int fd, const struct iovec* from, int n) { return NET(writev, fd, from, n); }
static inline ssize_t net_send(int fd, const void* from, size_t n, int flags) { return NET(send, fd, from, n, flags); }
static inline ssize_t net_sendto(int fd, const void* from, size_t n, int flags, const void* a, socklen_t an) {
  return NET(sendto, fd, from, n, flags, (const struct sockaddr*)a, an);
}
static inline ssize_t net_sendmsg(int fd, const struct msghdr* m, int flags) { return NET(sendmsg, fd, m, flags); }
static inline int net_fcntl(int fd, int command, int argument) { return NET(fcntl, fd, command, argument); }
static inline int net_ioctl(int fd, unsigned long request, int* value) { return NET(ioctl, fd, request, value); }
static inline int net_getsockopt(int fd, int level, int name, void* value, socklen_t* n) {
  return NET(getsockopt, fd, level, name, value, n);
}
static inline int net_setsockopt(int fd, int level, int name, const void* value, socklen_t n) {
  return NET(setsockopt, fd, level, name, value, n);
}
static inline int net_poll(struct pollfd* fds, nfds_t n, int timeout) { return NET(poll, fds, n, timeout); }
static inline int net_epoll_create(void) { return NET(epoll_create, 1); }
static inline int net_epoll_create1(int flags) { return NET(epoll_create1, flags); }
static inline int net_epoll_ctl(int epfd, int operation, int fd, struct epoll_event* e) {
  return NET(epoll_ctl, epfd, operation, fd, e);
}
static inline int net_epoll_wait(int epfd, struct epoll_event* e, int n, int timeout) {
  return NET(epoll_wait, epfd, e, n, timeout);
}
// Time for what is on its way to arrive, and to be acknowledged.
static inline void net_settle(void) {
  if (net) {
    tcp_shim_usleep(net, 50000);
  } else {
    usleep(20000);
  }
}

// What of a set of poll bits is there now, of those that are looked for.
static inline int net_ready(int fd, int events) {
  struct pollfd one = {.fd = fd, .events = (short)events};
  return net_poll(&one, 1, 0) < 0 ? -1 : one.revents;
}
static inline int net_option(int fd, int level, int name) {
  int value = -12345;
  socklen_t n = sizeof value;
  return net_getsockopt(fd, level, name, &value, &n) ? -1 : value;
}
static inline int net_set(int fd, int level, int name, int value) {
  return net_setsockopt(fd, level, name, &value, sizeof value);
}
