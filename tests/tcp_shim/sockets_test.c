// The socket calls in every state, twice: over the kernel's loopback, and over the shim's. What is expected was seen at
// the kernel (6.x); a test that passes there and not here is a difference between us and Linux.
#include "tests/tcp_shim/net.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <signal.h>

#include "tests/support/tcp_shim/checks.h"
#include "tests/tcp_shim/pairs.h"

#define ALL (POLLIN | POLLOUT | POLLRDHUP | POLLPRI)

static void sockets_that_are_not_there(void) {
  char byte;
  int value;
  socklen_t n = sizeof value;
  struct iovec one = {&byte, 1};
  struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1};
  struct sockaddr_in a = loopback4(1);
  const int bad = 900000;
  CHECK_FAILS(net_socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
  CHECK_FAILS(net_socket(AF_INET, 77, 0), EINVAL);
  CHECK_FAILS(net_socket(9999, SOCK_STREAM, 0), EAFNOSUPPORT);
  CHECK_FAILS(net_bind(bad, &a, sizeof a), EBADF);
  CHECK_FAILS(net_listen(bad, 1), EBADF);
  CHECK_FAILS(net_accept(bad, NULL, NULL), EBADF);
  CHECK_FAILS(net_connect(bad, &a, sizeof a), EBADF);
  CHECK_FAILS(net_getsockname(bad, &a, &n), EBADF);
  CHECK_FAILS(net_getpeername(bad, &a, &n), EBADF);
  CHECK_FAILS(net_shutdown(bad, SHUT_WR), EBADF);
  CHECK_FAILS(net_close(bad), EBADF);
  CHECK_FAILS(net_read(bad, &byte, 1), EBADF);
  CHECK_FAILS(net_readv(bad, &one, 1), EBADF);
  CHECK_FAILS(net_recv(bad, &byte, 1, 0), EBADF);
  CHECK_FAILS(net_recvfrom(bad, &byte, 1, 0, NULL, NULL), EBADF);
  CHECK_FAILS(net_recvmsg(bad, &message, 0), EBADF);
  CHECK_FAILS(net_write(bad, &byte, 1), EBADF);
  CHECK_FAILS(net_writev(bad, &one, 1), EBADF);
  CHECK_FAILS(net_send(bad, &byte, 1, 0), EBADF);
  CHECK_FAILS(net_sendto(bad, &byte, 1, 0, NULL, 0), EBADF);
  CHECK_FAILS(net_sendmsg(bad, &message, 0), EBADF);
  CHECK_FAILS(net_fcntl(bad, F_GETFL, 0), EBADF);
  CHECK_FAILS(net_ioctl(bad, SIOCINQ, &value), EBADF);
  CHECK_FAILS(net_getsockopt(bad, SOL_SOCKET, SO_ERROR, &value, &n), EBADF);
  CHECK_FAILS(net_setsockopt(bad, SOL_SOCKET, SO_KEEPALIVE, &value, n), EBADF);
  CHECK_EQUAL(net_ready(bad, ALL), POLLNVAL);
}

static void a_socket_that_did_nothing(void) {
  char byte = 'x';
  int value = -1;
  const int fd = net_socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
  struct sockaddr_in a;
  socklen_t n = sizeof a;
  CHECK_EQUAL(net_ready(fd, ALL), POLLOUT | POLLHUP);
  CHECK_FAILS(net_read(fd, &byte, 1), ENOTCONN);
  CHECK_EQUAL(net_read(fd, &byte, 0), 0);
  CHECK_FAILS(net_send(fd, &byte, 1, MSG_NOSIGNAL), EPIPE);
  CHECK_FAILS(net_getpeername(fd, &a, &n), ENOTCONN);
  CHECK_FAILS(net_shutdown(fd, SHUT_WR), ENOTCONN);
  CHECK_FAILS(net_shutdown(fd, 7), EINVAL);
  CHECK_FAILS(net_accept(fd, NULL, NULL), EINVAL);
  CHECK_EQUAL(net_getsockname(fd, &a, &n), 0);
  CHECK_EQUAL(n, sizeof a);
  CHECK_EQUAL(a.sin_port, 0);
  CHECK_EQUAL(net_ioctl(fd, SIOCINQ, &value), 0);
  CHECK_EQUAL(value, 0);
  CHECK_EQUAL(net_ioctl(fd, SIOCOUTQ, &value), 0);
  CHECK_EQUAL(value, 0);
  CHECK_FAILS(net_ioctl(fd, 0xabcdef, &value), ENOTTY);
  CHECK_EQUAL(net_fcntl(fd, F_GETFL, 0), O_RDWR);
  CHECK_EQUAL(net_fcntl(fd, F_SETFL, O_NONBLOCK), 0);
  CHECK_EQUAL(net_fcntl(fd, F_GETFL, 0), O_RDWR | O_NONBLOCK);
  CHECK_EQUAL(net_fcntl(fd, F_SETFD, FD_CLOEXEC), 0);
  CHECK_EQUAL(net_fcntl(fd, F_GETFD, 0), FD_CLOEXEC);
  CHECK_FAILS(net_fcntl(fd, 9999, 0), EINVAL);
  CHECK_EQUAL(net_close(fd), 0);
  CHECK_FAILS(net_close(fd), EBADF);
}

static void binding(void) {
  struct sockaddr_in a = loopback4(0), other;
  const int fd = net_socket(AF_INET, SOCK_STREAM, 0), second = net_socket(AF_INET, SOCK_STREAM, 0);
  CHECK_FAILS(net_bind(fd, &a, 7), EINVAL);
  a.sin_family = AF_INET6;
  CHECK_FAILS(net_bind(fd, &a, sizeof a), EAFNOSUPPORT);
  a = loopback4(0);
  a.sin_addr.s_addr = htonl(0xcb007107);  // 203.0.113.7 is nobody's here
  CHECK_FAILS(net_bind(fd, &a, sizeof a), EADDRNOTAVAIL);
  a = loopback4(0);
  CHECK_EQUAL(net_bind(fd, &a, sizeof a), 0);
  CHECK_FAILS(net_bind(fd, &a, sizeof a), EINVAL);
  a = name_of(fd);
  CHECK_TRUE(a.sin_port != 0);
  CHECK_EQUAL(a.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
  CHECK_FAILS(net_bind(second, &a, sizeof a), EADDRINUSE);
  other = a;
  other.sin_addr.s_addr = htonl(INADDR_ANY);
  CHECK_FAILS(net_bind(second, &other, sizeof other), EADDRINUSE);
  CHECK_EQUAL(net_set(fd, SOL_SOCKET, SO_REUSEADDR, 1), 0);
  CHECK_EQUAL(net_set(second, SOL_SOCKET, SO_REUSEADDR, 1), 0);
  CHECK_EQUAL(net_bind(second, &other, sizeof other), 0);
  CHECK_EQUAL(net_listen(fd, 1), 0);
  CHECK_FAILS(net_listen(second, 1), EADDRINUSE);
  net_close(second);
  const int third = net_socket(AF_INET, SOCK_STREAM, 0);
  CHECK_EQUAL(net_set(third, SOL_SOCKET, SO_REUSEADDR, 1), 0);
  CHECK_FAILS(net_bind(third, &a, sizeof a), EADDRINUSE);  // one listens there
  net_close(fd);
  CHECK_EQUAL(net_bind(third, &a, sizeof a), 0);
  net_close(third);
}

static void sharing_a_port(void) {
  struct sockaddr_in a = loopback4(0);
  const int one = net_socket(AF_INET, SOCK_STREAM, 0), two = net_socket(AF_INET, SOCK_STREAM, 0);
  CHECK_EQUAL(net_set(one, SOL_SOCKET, SO_REUSEPORT, 1), 0);
  CHECK_EQUAL(net_set(two, SOL_SOCKET, SO_REUSEPORT, 1), 0);
  CHECK_EQUAL(net_bind(one, &a, sizeof a), 0);
  a = name_of(one);
  CHECK_EQUAL(net_bind(two, &a, sizeof a), 0);
  CHECK_EQUAL(net_listen(one, 1), 0);
  CHECK_EQUAL(net_listen(two, 1), 0);
  net_close(one);
  net_close(two);
}

static void a_socket_that_listens(void) {
  char byte = 'x';
  int value;
  struct sockaddr_in a;
  socklen_t n = sizeof a;
  const int fd = net_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  CHECK_EQUAL(net_option(fd, SOL_SOCKET, SO_ACCEPTCONN), 0);
  CHECK_EQUAL(net_listen(fd, 5), 0);  // to a port of the system's choice
  CHECK_EQUAL(net_listen(fd, 6), 0);
  CHECK_EQUAL(net_option(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
  CHECK_EQUAL(net_ready(fd, ALL), 0);
  a = name_of(fd);
  CHECK_TRUE(a.sin_port != 0);
  CHECK_FAILS(net_accept(fd, NULL, NULL), EAGAIN);
  CHECK_FAILS(net_accept4(fd, NULL, NULL, 0x1), EINVAL);
  CHECK_FAILS(net_read(fd, &byte, 1), ENOTCONN);
  CHECK_FAILS(net_send(fd, &byte, 1, MSG_NOSIGNAL), EPIPE);
  CHECK_FAILS(net_getpeername(fd, &a, &n), ENOTCONN);
  CHECK_FAILS(net_ioctl(fd, SIOCINQ, &value), EINVAL);
  CHECK_FAILS(net_ioctl(fd, SIOCOUTQ, &value), EINVAL);
  a = name_of(fd);
  CHECK_FAILS(net_connect(fd, &a, sizeof a), EISCONN);
  CHECK_FAILS(net_bind(fd, &a, sizeof a), EINVAL);
  CHECK_EQUAL(net_shutdown(fd, SHUT_WR), 0);
  CHECK_EQUAL(net_option(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
  CHECK_EQUAL(net_shutdown(fd, SHUT_RD), 0);
  CHECK_EQUAL(net_option(fd, SOL_SOCKET, SO_ACCEPTCONN), 0);
  CHECK_FAILS(net_accept(fd, NULL, NULL), EINVAL);
  net_close(fd);
}

static void a_connection(void) {
  struct pair p = connected(AF_INET);
  struct sockaddr_in a, b;
  socklen_t n = sizeof a;
  CHECK_EQUAL(net_getpeername(p.client, &a, &n), 0);
  b = name_of(p.server);
  CHECK_EQUAL(memcmp(&a, &b, 8), 0);
  CHECK_EQUAL(net_getpeername(p.server, &a, &n), 0);
  b = name_of(p.client);
  CHECK_EQUAL(memcmp(&a, &b, 8), 0);
  n = 3;
  CHECK_EQUAL(net_getpeername(p.server, &a, &n), 0);
  CHECK_EQUAL(n, sizeof a);
  CHECK_EQUAL(net_ready(p.client, ALL), POLLOUT);
  CHECK_FAILS(net_connect(p.client, &a, sizeof a), EISCONN);
  CHECK_FAILS(net_connect(p.server, &a, sizeof a), EISCONN);
  CHECK_FAILS(net_listen(p.client, 1), EINVAL);
  CHECK_FAILS(net_accept(p.client, NULL, NULL), EINVAL);
  CHECK_FAILS(net_bind(p.client, &b, sizeof b), EINVAL);
  end(&p);
}

static void sending_and_receiving(void) {
  struct pair p = connected(AF_INET);
  char text[32] = {0}, more[8] = {0};
  struct iovec in[2] = {{text, 3}, {more, 5}}, out[2] = {{"abc", 3}, {"defgh", 5}};
  struct msghdr message = {.msg_iov = out, .msg_iovlen = 2};
  int value;
  CHECK_EQUAL(net_write(p.client, "abcdefgh", 8), 8);
  net_settle();
  CHECK_EQUAL(net_ioctl(p.server, SIOCINQ, &value), 0);
  CHECK_EQUAL(value, 8);
  CHECK_EQUAL(net_ioctl(p.client, SIOCOUTQ, &value), 0);
  CHECK_EQUAL(value, 0);
  CHECK_EQUAL(net_ready(p.server, ALL), POLLIN | POLLOUT);
  CHECK_EQUAL(net_recv(p.server, text, 4, MSG_PEEK), 4);
  CHECK_EQUAL(memcmp(text, "abcd", 4), 0);
  CHECK_EQUAL(net_readv(p.server, in, 2), 8);
  CHECK_EQUAL(memcmp(text, "abc", 3), 0);
  CHECK_EQUAL(memcmp(more, "defgh", 5), 0);
  CHECK_FAILS(net_recv(p.server, text, 4, MSG_DONTWAIT), EAGAIN);
  CHECK_FAILS(net_recv(p.server, text, 1, MSG_OOB), EINVAL);
  CHECK_EQUAL(net_writev(p.client, out, 2), 8);
  net_settle();
  CHECK_EQUAL(net_recv(p.server, NULL, 5, MSG_TRUNC), 5);
  CHECK_EQUAL(net_recv(p.server, text, sizeof text, 0), 3);
  CHECK_EQUAL(memcmp(text, "fgh", 3), 0);
  CHECK_EQUAL(net_sendmsg(p.client, &message, MSG_NOSIGNAL), 8);
  net_settle();
  message.msg_iov = in;
  struct sockaddr_in a;
  message.msg_name = &a;
  message.msg_namelen = sizeof a;
  CHECK_EQUAL(net_recvmsg(p.server, &message, 0), 8);
  CHECK_EQUAL(message.msg_namelen, 0);
  CHECK_EQUAL(message.msg_flags, 0);
  CHECK_EQUAL(net_send(p.client, "12", 2, MSG_MORE), 2);
  CHECK_EQUAL(net_sendto(p.client, "34", 2, 0, &a, sizeof a), 2);  // the address is not looked at
  net_settle();
  socklen_t n = sizeof a;
  CHECK_EQUAL(net_recvfrom(p.server, text, sizeof text, MSG_WAITALL | MSG_DONTWAIT, &a, &n), 4);
  CHECK_EQUAL(memcmp(text, "1234", 4), 0);
  CHECK_EQUAL(net_send(p.client, text, 0, 0), 0);
  end(&p);
}

static void half_closed(void) {
  struct pair p = connected(AF_INET);
  char text[8];
  CHECK_EQUAL(net_write(p.client, "last", 4), 4);
  CHECK_EQUAL(net_shutdown(p.client, SHUT_WR), 0);
  net_settle();
  CHECK_FAILS(net_send(p.client, "x", 1, MSG_NOSIGNAL), EPIPE);
  CHECK_EQUAL(net_ready(p.client, ALL), POLLOUT);
  CHECK_EQUAL(net_ready(p.server, ALL), POLLIN | POLLOUT | POLLRDHUP);
  CHECK_EQUAL(net_recv(p.server, text, 8, MSG_WAITALL), 4);
  CHECK_EQUAL(net_read(p.server, text, 8), 0);
  CHECK_EQUAL(net_read(p.server, text, 8), 0);
  CHECK_EQUAL(net_write(p.server, "back", 4), 4);
  net_settle();
  CHECK_EQUAL(net_read(p.client, text, 8), 4);
  CHECK_EQUAL(net_shutdown(p.server, SHUT_WR), 0);
  net_settle();
  CHECK_EQUAL(net_read(p.client, text, 8), 0);
  CHECK_EQUAL(net_ready(p.client, ALL), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
  CHECK_EQUAL(net_ready(p.server, ALL), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
  CHECK_FAILS(net_shutdown(p.server, SHUT_WR), ENOTCONN);
  CHECK_FAILS(net_send(p.server, "x", 1, MSG_NOSIGNAL), EPIPE);
  end(&p);
}

static void reading_shut(void) {
  struct pair p = connected(AF_INET);
  char text[8];
  CHECK_EQUAL(net_shutdown(p.server, SHUT_RD), 0);
  CHECK_EQUAL(net_ready(p.server, ALL), POLLIN | POLLOUT | POLLRDHUP);
  CHECK_EQUAL(net_read(p.server, text, 8), 0);
  CHECK_EQUAL(net_write(p.client, "abc", 3), 3);
  net_settle();
  CHECK_EQUAL(net_read(p.server, text, 8), 3);
  CHECK_EQUAL(net_read(p.server, text, 8), 0);
  end(&p);
}

static void reset_by_linger(void) {
  struct pair p = connected(AF_INET);
  const struct linger at_once = {1, 0};
  char text[8];
  CHECK_EQUAL(net_write(p.client, "abc", 3), 3);
  CHECK_EQUAL(net_setsockopt(p.client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
  CHECK_EQUAL(net_close(p.client), 0);
  net_settle();
  CHECK_EQUAL(net_ready(p.server, ALL), POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR);
  CHECK_EQUAL(net_read(p.server, text, 8), 3);  // what had come before the reset
  CHECK_FAILS(net_read(p.server, text, 8), ECONNRESET);
  CHECK_EQUAL(net_read(p.server, text, 8), 0);
  CHECK_FAILS(net_send(p.server, "x", 1, MSG_NOSIGNAL), EPIPE);
  CHECK_EQUAL(net_option(p.server, SOL_SOCKET, SO_ERROR), 0);
  struct sockaddr_in a;
  socklen_t n = sizeof a;
  CHECK_FAILS(net_getpeername(p.server, &a, &n), ENOTCONN);
  p.client = -1;
  end(&p);
}

static void reset_by_unread_bytes(void) {
  struct pair p = connected(AF_INET);
  CHECK_EQUAL(net_write(p.client, "abc", 3), 3);
  net_settle();
  CHECK_EQUAL(net_close(p.server), 0);
  net_settle();
  CHECK_EQUAL(net_option(p.client, SOL_SOCKET, SO_ERROR), ECONNRESET);
  CHECK_EQUAL(net_option(p.client, SOL_SOCKET, SO_ERROR), 0);
  p.server = -1;
  end(&p);
}

static void reset_after_the_end(void) {
  struct pair p = connected(AF_INET);
  char text[8];
  CHECK_EQUAL(net_close(p.server), 0);
  net_settle();
  CHECK_EQUAL(net_ready(p.client, ALL), POLLIN | POLLOUT | POLLRDHUP);
  CHECK_EQUAL(net_write(p.client, "x", 1), 1);  // nobody reads that: a reset comes back
  net_settle();
  CHECK_EQUAL(net_ready(p.client, ALL), POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR);
  CHECK_EQUAL(net_read(p.client, text, 8), 0);
  CHECK_FAILS(net_send(p.client, "x", 1, MSG_NOSIGNAL), EPIPE);
  CHECK_EQUAL(net_option(p.client, SOL_SOCKET, SO_ERROR), 0);
  p.server = -1;
  end(&p);
}

static void refused(void) {
  const int listener = net_socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in a = loopback4(0);
  CHECK_EQUAL(net_bind(listener, &a, sizeof a), 0);  // bound, and nobody listens
  a = name_of(listener);
  const int fd = net_socket(AF_INET, SOCK_STREAM, 0);
  CHECK_FAILS(net_connect(fd, &a, 3), EINVAL);
  a.sin_family = AF_INET6;
  CHECK_FAILS(net_connect(fd, &a, sizeof a), EAFNOSUPPORT);
  a.sin_family = AF_INET;
  CHECK_FAILS(net_connect(fd, &a, sizeof a), ECONNREFUSED);
  CHECK_FAILS(net_connect(fd, &a, sizeof a), ECONNREFUSED);  // the socket may try again
  const int late = net_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  CHECK_FAILS(net_connect(late, &a, sizeof a), EINPROGRESS);
  net_settle();
  CHECK_EQUAL(net_ready(late, ALL), POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR);
  CHECK_EQUAL(net_option(late, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
  CHECK_EQUAL(net_option(late, SOL_SOCKET, SO_ERROR), 0);
  CHECK_FAILS(net_connect(late, &a, sizeof a), ECONNABORTED);
  CHECK_FAILS(net_connect(late, &a, sizeof a), EINPROGRESS);
  net_close(late);
  net_close(fd);
  net_close(listener);
}

static void connecting_without_blocking(void) {
  const int listener = listening(AF_INET, 1);
  struct sockaddr_in a = name_of(listener);
  const int fd = net_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  CHECK_FAILS(net_connect(fd, &a, sizeof a), EINPROGRESS);
  net_settle();
  CHECK_EQUAL(net_ready(fd, ALL), POLLOUT);
  CHECK_EQUAL(net_option(fd, SOL_SOCKET, SO_ERROR), 0);
  CHECK_EQUAL(net_connect(fd, &a, sizeof a), 0);
  CHECK_FAILS(net_connect(fd, &a, sizeof a), EISCONN);
  CHECK_EQUAL(net_ready(listener, ALL), POLLIN);
  const int server = net_accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  CHECK_EQUAL(net_fcntl(server, F_GETFL, 0), O_RDWR | O_NONBLOCK);
  CHECK_EQUAL(net_fcntl(server, F_GETFD, 0), FD_CLOEXEC);
  const struct sockaddr nothing = {.sa_family = AF_UNSPEC};
  CHECK_EQUAL(net_connect(fd, &nothing, sizeof nothing), 0);
  net_settle();
  CHECK_EQUAL(net_option(server, SOL_SOCKET, SO_ERROR), ECONNRESET);
  socklen_t n = sizeof a;
  CHECK_FAILS(net_getpeername(fd, &a, &n), ENOTCONN);
  net_close(server);
  net_close(fd);
  net_close(listener);
}

static void a_backlog_that_is_full(void) {
  const int listener = listening(AF_INET, 0);
  const struct sockaddr_in a = name_of(listener);
  int fds[3], up = 0;
  for (int i = 0; i < 3; ++i) {
    fds[i] = net_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK_FAILS(net_connect(fds[i], &a, sizeof a), EINPROGRESS);
    net_settle();
    up += net_ready(fds[i], POLLOUT) == POLLOUT;
  }
  CHECK_EQUAL(up, 1);
  char byte = 'x';
  CHECK_FAILS(net_send(fds[1], &byte, 1, 0), EAGAIN);
  CHECK_FAILS(net_read(fds[1], &byte, 1), EAGAIN);
  CHECK_EQUAL(net_ready(fds[1], ALL), 0);
  CHECK_FAILS(net_connect(fds[1], &a, sizeof a), EALREADY);
  for (int i = 0; i < 3; ++i) net_close(fds[i]);
  net_close(listener);
}

static void a_listener_that_closes(void) {
  const int listener = listening(AF_INET, 3);
  const struct sockaddr_in a = name_of(listener);
  const int fd = net_socket(AF_INET, SOCK_STREAM, 0);
  CHECK_EQUAL(net_connect(fd, &a, sizeof a), 0);
  net_settle();
  net_close(listener);
  net_settle();
  CHECK_EQUAL(net_option(fd, SOL_SOCKET, SO_ERROR), ECONNRESET);
  net_close(fd);
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  return twice((struct test[]){TEST(sockets_that_are_not_there),
                               TEST(a_socket_that_did_nothing),
                               TEST(binding),
                               TEST(sharing_a_port),
                               TEST(a_socket_that_listens),
                               TEST(a_connection),
                               TEST(sending_and_receiving),
                               TEST(half_closed),
                               TEST(reading_shut),
                               TEST(reset_by_linger),
                               TEST(reset_by_unread_bytes),
                               TEST(reset_after_the_end),
                               TEST(refused),
                               TEST(connecting_without_blocking),
                               TEST(a_backlog_that_is_full),
                               TEST(a_listener_that_closes),
                               {0}});
}
