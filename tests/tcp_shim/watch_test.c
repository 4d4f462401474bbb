// poll and epoll, and IPv6 with IPv4 inside, twice: over the kernel's loopback, and over the shim's.
#include "tests/tcp_shim/pairs.h"

#include <signal.h>

static int watching(int epfd, int fd, uint32_t events) {
  struct epoll_event e = {.events = events, .data = {.fd = fd}};
  return net_epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &e);
}
// What epoll_wait tells of the only descriptor that it watches; 0: nothing.
static uint32_t told(int epfd, int timeout) {
  struct epoll_event e[4];
  const int n = net_epoll_wait(epfd, e, 4, timeout);
  return n == 1 ? e[0].events : 0;
}

static void faults_of_epoll(void) {
  struct epoll_event e = {.events = EPOLLIN};
  const int epfd = net_epoll_create(), fd = net_socket(AF_INET, SOCK_STREAM, 0);
  CHECK_TRUE(epfd >= 0);
  CHECK_FAILS(net_epoll_create1(7), EINVAL);
  CHECK_FAILS(net_epoll_wait(epfd, &e, 0, 0), EINVAL);
  CHECK_FAILS(net_epoll_wait(fd, &e, 1, 0), EINVAL);
  CHECK_FAILS(net_epoll_wait(900000, &e, 1, 0), EBADF);
  CHECK_FAILS(net_epoll_ctl(epfd, EPOLL_CTL_ADD, 900000, &e), EBADF);
  CHECK_FAILS(net_epoll_ctl(900000, EPOLL_CTL_ADD, fd, &e), EBADF);
  CHECK_FAILS(net_epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &e), ENOENT);
  CHECK_FAILS(net_epoll_ctl(epfd, EPOLL_CTL_DEL, fd, &e), ENOENT);
  CHECK_FAILS(net_epoll_ctl(epfd, EPOLL_CTL_ADD, epfd, &e), EINVAL);
  CHECK_FAILS(net_epoll_ctl(epfd, 77, fd, &e), EINVAL);
  CHECK_EQUAL(net_epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &e), 0);
  CHECK_FAILS(net_epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &e), EEXIST);
  CHECK_EQUAL(told(epfd, 0), EPOLLHUP);  // asked for or not
  CHECK_EQUAL(net_epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL), 0);
  CHECK_EQUAL(net_epoll_wait(epfd, &e, 1, 20), 0);
  char byte;
  CHECK_FAILS(net_accept(epfd, NULL, NULL), ENOTSOCK);
  CHECK_FAILS(net_send(epfd, &byte, 1, 0), ENOTSOCK);
  CHECK_FAILS(net_listen(epfd, 1), ENOTSOCK);
  net_close(fd);
  net_close(epfd);
}

static void level_triggered(void) {
  struct pair p = connected(AF_INET);
  char text[8];
  const int epfd = net_epoll_create1(EPOLL_CLOEXEC);
  CHECK_EQUAL(watching(epfd, p.server, EPOLLIN | EPOLLRDHUP), 0);
  CHECK_EQUAL(told(epfd, 0), 0);
  CHECK_EQUAL(net_write(p.client, "abc", 3), 3);
  CHECK_EQUAL(told(epfd, 1000), EPOLLIN);
  CHECK_EQUAL(told(epfd, 0), EPOLLIN);
  CHECK_EQUAL(net_read(p.server, text, 8), 3);
  CHECK_EQUAL(told(epfd, 0), 0);
  CHECK_EQUAL(net_shutdown(p.client, SHUT_WR), 0);
  CHECK_EQUAL(told(epfd, 1000), EPOLLIN | EPOLLRDHUP);
  CHECK_EQUAL(told(epfd, 0), EPOLLIN | EPOLLRDHUP);
  CHECK_EQUAL(net_shutdown(p.server, SHUT_WR), 0);
  net_settle();
  CHECK_EQUAL(told(epfd, 0), EPOLLIN | EPOLLRDHUP | EPOLLHUP);
  net_close(epfd);
  end(&p);
}

static void edge_triggered(void) {
  struct pair p = connected(AF_INET);
  char text[8];
  const int epfd = net_epoll_create();
  net_settle();
  CHECK_EQUAL(watching(epfd, p.server, EPOLLIN | EPOLLOUT | EPOLLET), 0);
  CHECK_EQUAL(told(epfd, 0), EPOLLOUT);
  CHECK_EQUAL(told(epfd, 0), 0);
  CHECK_EQUAL(net_write(p.client, "abc", 3), 3);
  CHECK_EQUAL(told(epfd, 1000), EPOLLIN | EPOLLOUT);
  CHECK_EQUAL(told(epfd, 0), 0);
  CHECK_EQUAL(net_write(p.client, "def", 3), 3);  // more, though what was there is unread
  CHECK_EQUAL(told(epfd, 1000), EPOLLIN | EPOLLOUT);
  CHECK_EQUAL(net_read(p.server, text, 2), 2);
  net_settle();
  CHECK_EQUAL(told(epfd, 0), 0);
  struct epoll_event e = {.events = EPOLLIN | EPOLLET};
  CHECK_EQUAL(net_epoll_ctl(epfd, EPOLL_CTL_MOD, p.server, &e), 0);  // looks anew
  CHECK_EQUAL(told(epfd, 0), EPOLLIN);
  CHECK_EQUAL(told(epfd, 0), 0);
  net_close(epfd);
  end(&p);
}

static void one_shot(void) {
  struct pair p = connected(AF_INET);
  const int epfd = net_epoll_create();
  CHECK_EQUAL(net_write(p.client, "abc", 3), 3);
  net_settle();
  CHECK_EQUAL(watching(epfd, p.server, EPOLLIN | EPOLLONESHOT), 0);
  CHECK_EQUAL(told(epfd, 0), EPOLLIN);
  CHECK_EQUAL(told(epfd, 0), 0);
  struct epoll_event e = {.events = EPOLLIN | EPOLLONESHOT};
  CHECK_EQUAL(net_epoll_ctl(epfd, EPOLL_CTL_MOD, p.server, &e), 0);
  CHECK_EQUAL(told(epfd, 0), EPOLLIN);
  net_close(epfd);
  end(&p);
}

static void listeners_and_closed_ones(void) {
  struct pair p = connected(AF_INET);
  const int epfd = net_epoll_create();
  CHECK_EQUAL(watching(epfd, p.listener, EPOLLIN | EPOLLET), 0);
  CHECK_EQUAL(told(epfd, 0), 0);
  const struct sockaddr_in a = name_of(p.listener);
  const int more = net_socket(AF_INET, SOCK_STREAM, 0);
  CHECK_EQUAL(net_connect(more, &a, sizeof a), 0);
  CHECK_EQUAL(told(epfd, 1000), EPOLLIN);
  CHECK_EQUAL(told(epfd, 0), 0);
  const int server = net_accept(p.listener, NULL, NULL);
  CHECK_EQUAL(watching(epfd, server, EPOLLOUT), 0);
  CHECK_EQUAL(told(epfd, 0), EPOLLOUT);
  net_close(server);  // leaves the set by itself
  CHECK_EQUAL(told(epfd, 0), 0);
  net_close(more);
  net_close(epfd);
  end(&p);
}

static void edge_of_room(void) {
  struct pair p = connected(AF_INET);
  const int epfd = net_epoll_create();
  static char block[65536];
  ssize_t n, sent = 0, got = 0;
  while ((n = net_send(p.client, block, sizeof block, MSG_DONTWAIT)) > 0) sent += n;
  CHECK_EQUAL(watching(epfd, p.client, EPOLLOUT | EPOLLET), 0);
  net_settle();
  while ((n = net_send(p.client, block, sizeof block, MSG_DONTWAIT)) > 0) sent += n;  // until all is full for good
  told(epfd, 0);
  CHECK_EQUAL(told(epfd, 0), 0);
  while (got < sent && (n = net_recv(p.server, block, sizeof block, 0)) > 0) got += n;
  CHECK_EQUAL(got, sent);
  CHECK_EQUAL(told(epfd, 1000), EPOLLOUT);
  CHECK_EQUAL(told(epfd, 0), 0);
  net_close(epfd);
  end(&p);
}

static void over_ip6(void) {
  struct pair p = connected(AF_INET6);
  struct sockaddr_in6 a;
  socklen_t n = sizeof a;
  char text[8];
  CHECK_EQUAL(net_getpeername(p.server, &a, &n), 0);
  CHECK_EQUAL(n, sizeof a);
  CHECK_EQUAL(a.sin6_family, AF_INET6);
  CHECK_TRUE(IN6_IS_ADDR_LOOPBACK(&a.sin6_addr));
  CHECK_EQUAL(net_write(p.client, "abc", 3), 3);
  net_settle();
  CHECK_EQUAL(net_read(p.server, text, 8), 3);
  CHECK_EQUAL(net_option(p.client, SOL_SOCKET, SO_DOMAIN), AF_INET6);
  end(&p);
  const int fd = net_socket(AF_INET6, SOCK_STREAM, 0);
  a = loopback6(0);
  CHECK_FAILS(net_bind(fd, &a, 20), EINVAL);
  a.sin6_family = AF_INET;
  CHECK_FAILS(net_bind(fd, &a, sizeof a), EAFNOSUPPORT);
  net_close(fd);
}

static void ip4_inside_ip6(void) {
  struct sockaddr_in6 any = {.sin6_family = AF_INET6}, a;
  socklen_t n = sizeof a;
  const int listener = net_socket(AF_INET6, SOCK_STREAM, 0);
  CHECK_EQUAL(net_option(listener, IPPROTO_IPV6, IPV6_V6ONLY), 0);
  CHECK_EQUAL(net_bind(listener, &any, sizeof any), 0);
  CHECK_FAILS(net_set(listener, IPPROTO_IPV6, IPV6_V6ONLY, 1), EINVAL);  // too late
  CHECK_EQUAL(net_listen(listener, 3), 0);
  CHECK_EQUAL(net_getsockname(listener, &a, &n), 0);
  const struct sockaddr_in to = loopback4(ntohs(a.sin6_port));
  const int client = net_socket(AF_INET, SOCK_STREAM, 0);
  CHECK_EQUAL(net_connect(client, &to, sizeof to), 0);
  n = sizeof a;
  const int server = net_accept(listener, &a, &n);
  CHECK_TRUE(server >= 0);
  CHECK_EQUAL(n, sizeof a);
  CHECK_TRUE(IN6_IS_ADDR_V4MAPPED(&a.sin6_addr));
  n = sizeof a;
  CHECK_EQUAL(net_getsockname(server, &a, &n), 0);
  CHECK_TRUE(IN6_IS_ADDR_V4MAPPED(&a.sin6_addr));
  net_close(server);
  net_close(client);
  // The other way round: an IPv6 socket connects to a mapped address.
  const int both = net_socket(AF_INET6, SOCK_STREAM, 0);
  struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = to.sin_port};
  mapped.sin6_addr.s6_addr[10] = mapped.sin6_addr.s6_addr[11] = 0xff;
  memcpy(&mapped.sin6_addr.s6_addr[12], &to.sin_addr, 4);
  CHECK_EQUAL(net_connect(both, &mapped, sizeof mapped), 0);
  net_close(both);
  net_close(listener);
  const int only = net_socket(AF_INET6, SOCK_STREAM, 0);
  CHECK_EQUAL(net_set(only, IPPROTO_IPV6, IPV6_V6ONLY, 1), 0);
  CHECK_FAILS(net_connect(only, &mapped, sizeof mapped), ENETUNREACH);
  net_close(only);
}

static void any_of_both_families(void) {
  struct sockaddr_in6 any6 = {.sin6_family = AF_INET6};
  struct sockaddr_in any4 = {.sin_family = AF_INET};
  socklen_t n = sizeof any6;
  const int six = net_socket(AF_INET6, SOCK_STREAM, 0), four = net_socket(AF_INET, SOCK_STREAM, 0);
  CHECK_EQUAL(net_bind(six, &any6, sizeof any6), 0);
  CHECK_EQUAL(net_getsockname(six, &any6, &n), 0);
  any4.sin_port = any6.sin6_port;
  CHECK_FAILS(net_bind(four, &any4, sizeof any4), EADDRINUSE);
  net_close(six);
  const int only = net_socket(AF_INET6, SOCK_STREAM, 0);
  CHECK_EQUAL(net_set(only, IPPROTO_IPV6, IPV6_V6ONLY, 1), 0);
  CHECK_EQUAL(net_bind(only, &any6, sizeof any6), 0);
  CHECK_EQUAL(net_bind(four, &any4, sizeof any4), 0);
  net_close(only);
  net_close(four);
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  return twice((struct test[]){TEST(faults_of_epoll),
                               TEST(level_triggered),
                               TEST(edge_triggered),
                               TEST(one_shot),
                               TEST(listeners_and_closed_ones),
                               TEST(edge_of_room),
                               TEST(over_ip6),
                               TEST(ip4_inside_ip6),
                               TEST(any_of_both_families),
                               {0}});
}
