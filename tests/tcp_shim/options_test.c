// Socket options, and what they do, twice: over the kernel's loopback, and over the shim's.
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <signal.h>
#include <sys/time.h>

#include "tests/tcp_shim/pairs.h"

static void numbers_of_the_socket_level(void) {
  const int fd = net_socket(AF_INET, SOCK_STREAM, 0);
  CHECK_EQUAL(net_option(fd, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
  CHECK_EQUAL(net_option(fd, SOL_SOCKET, SO_DOMAIN), AF_INET);
  CHECK_EQUAL(net_option(fd, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
  CHECK_EQUAL(net_option(fd, SOL_SOCKET, SO_ERROR), 0);
  const int flags[] = {SO_REUSEADDR, SO_REUSEPORT, SO_KEEPALIVE, SO_OOBINLINE, SO_BROADCAST, SO_DONTROUTE};
  for (size_t i = 0; i < sizeof flags / sizeof *flags; ++i) {
    CHECK_EQUAL(net_option(fd, SOL_SOCKET, flags[i]), 0);
    CHECK_EQUAL(net_set(fd, SOL_SOCKET, flags[i], 1), 0);
    CHECK_EQUAL(net_option(fd, SOL_SOCKET, flags[i]), 1);
  }
  CHECK_EQUAL(net_set(fd, SOL_SOCKET, SO_RCVBUF, 20000), 0);
  CHECK_EQUAL(net_option(fd, SOL_SOCKET, SO_RCVBUF), 40000);
  CHECK_EQUAL(net_set(fd, SOL_SOCKET, SO_SNDBUF, 30000), 0);
  CHECK_EQUAL(net_option(fd, SOL_SOCKET, SO_SNDBUF), 60000);
  CHECK_EQUAL(net_set(fd, SOL_SOCKET, SO_RCVBUF, 1), 0);
  CHECK_EQUAL(net_option(fd, SOL_SOCKET, SO_RCVBUF), 2304);
  CHECK_EQUAL(net_set(fd, SOL_SOCKET, SO_SNDBUF, 1), 0);
  CHECK_EQUAL(net_option(fd, SOL_SOCKET, SO_SNDBUF), 4608);
  CHECK_EQUAL(net_option(fd, SOL_SOCKET, SO_RCVLOWAT), 1);
  CHECK_FAILS(net_set(fd, SOL_SOCKET, SO_ERROR, 1), ENOPROTOOPT);
  CHECK_FAILS(net_set(fd, SOL_SOCKET, SO_ACCEPTCONN, 1), ENOPROTOOPT);
  CHECK_FAILS(net_set(fd, SOL_SOCKET, 9999, 1), ENOPROTOOPT);
  CHECK_FAILS(net_option(fd, SOL_SOCKET, 9999), ENOPROTOOPT);
  const char byte = 1;
  CHECK_FAILS(net_setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &byte, 1), EINVAL);
  int value = -1;
  socklen_t n = 2;
  CHECK_EQUAL(net_getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &n), 0);
  CHECK_EQUAL(n, 2);
  net_close(fd);
}

static void structures_of_the_socket_level(void) {
  const int fd = net_socket(AF_INET, SOCK_STREAM, 0);
  struct linger wait = {1, 30}, told = {0, 0};
  socklen_t n = sizeof told;
  CHECK_EQUAL(net_getsockopt(fd, SOL_SOCKET, SO_LINGER, &told, &n), 0);
  CHECK_EQUAL(told.l_onoff, 0);
  CHECK_EQUAL(net_setsockopt(fd, SOL_SOCKET, SO_LINGER, &wait, sizeof wait), 0);
  CHECK_EQUAL(net_getsockopt(fd, SOL_SOCKET, SO_LINGER, &told, &n), 0);
  CHECK_EQUAL(told.l_onoff, 1);
  CHECK_EQUAL(told.l_linger, 30);
  CHECK_FAILS(net_setsockopt(fd, SOL_SOCKET, SO_LINGER, &wait, 4), EINVAL);
  struct timeval time = {2, 500000}, back = {0, 0};
  CHECK_EQUAL(net_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time), 0);
  n = sizeof back;
  CHECK_EQUAL(net_getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &back, &n), 0);
  CHECK_EQUAL(back.tv_sec, 2);
  CHECK_EQUAL(back.tv_usec, 500000);
  time.tv_usec = 1000000;
  CHECK_FAILS(net_setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time), EDOM);
  net_close(fd);
}

static void numbers_of_tcp(void) {
  const int fd = net_socket(AF_INET, SOCK_STREAM, 0);
  const struct {
    int name, first, good, low, high;  // low and high: the last that are refused
  } numbers[] = {
      {TCP_KEEPIDLE, 7200, 100, 0, 32768},
      {TCP_KEEPINTVL, 75, 10, 0, 32768},
      {TCP_KEEPCNT, 9, 3, 0, 128},
      {TCP_SYNCNT, 6, 2, 0, 128},
      {TCP_MAXSEG, 536, 1000, 87, 32768},
      {TCP_NODELAY, 0, 1, 0, 0},
      {TCP_CORK, 0, 1, 0, 0},
      {TCP_USER_TIMEOUT, 0, 3000, -1, -1},
      {TCP_LINGER2, 60, 20, 0, 0},
  };
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; ++i) {
    CHECK_EQUAL(net_option(fd, IPPROTO_TCP, numbers[i].name), numbers[i].first);
    CHECK_EQUAL(net_set(fd, IPPROTO_TCP, numbers[i].name, numbers[i].good), 0);
    CHECK_EQUAL(net_option(fd, IPPROTO_TCP, numbers[i].name), numbers[i].good);
    if (numbers[i].low == numbers[i].high && numbers[i].low == 0) continue;
    CHECK_FAILS(net_set(fd, IPPROTO_TCP, numbers[i].name, numbers[i].low), EINVAL);
    CHECK_FAILS(net_set(fd, IPPROTO_TCP, numbers[i].name, numbers[i].high), EINVAL);
  }
  CHECK_FAILS(net_set(fd, IPPROTO_TCP, 9999, 1), ENOPROTOOPT);
  CHECK_FAILS(net_option(fd, IPPROTO_TCP, 9999), ENOPROTOOPT);
  char name[16] = "";
  socklen_t n = sizeof name;
  CHECK_EQUAL(net_setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5), 0);
  CHECK_EQUAL(net_getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &n), 0);
  CHECK_EQUAL(strcmp(name, "cubic"), 0);
  CHECK_FAILS(net_setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nosuch", 6), ENOENT);
  net_close(fd);
}

static void options_are_inherited(void) {
  struct pair p = {-1, -1, -1};
  p.listener = listening(AF_INET, 5);
  CHECK_EQUAL(net_set(p.listener, IPPROTO_TCP, TCP_NODELAY, 1), 0);
  CHECK_EQUAL(net_set(p.listener, IPPROTO_TCP, TCP_KEEPIDLE, 77), 0);
  CHECK_EQUAL(net_set(p.listener, SOL_SOCKET, SO_KEEPALIVE, 1), 0);
  const struct sockaddr_in a = name_of(p.listener);
  p.client = net_socket(AF_INET, SOCK_STREAM, 0);
  CHECK_EQUAL(net_connect(p.client, &a, sizeof a), 0);
  p.server = net_accept(p.listener, NULL, NULL);
  CHECK_EQUAL(net_option(p.server, IPPROTO_TCP, TCP_NODELAY), 1);
  CHECK_EQUAL(net_option(p.server, IPPROTO_TCP, TCP_KEEPIDLE), 77);
  CHECK_EQUAL(net_option(p.server, SOL_SOCKET, SO_KEEPALIVE), 1);
  CHECK_EQUAL(net_option(p.server, SOL_SOCKET, SO_ACCEPTCONN), 0);
  end(&p);
}

static int state_of(int fd) {
  struct tcp_info info;
  socklen_t n = sizeof info;
  return net_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) ? -1 : info.tcpi_state;
}

// Numbers of the kernel's enum: 1 established, 4 and 5 FIN-WAIT, 7 closed, 8 CLOSE-WAIT, 9 LAST-ACK, 10 listen.
static void states_in_tcp_info(void) {
  struct pair p = connected(AF_INET);
  const int fresh = net_socket(AF_INET, SOCK_STREAM, 0);
  CHECK_EQUAL(state_of(fresh), 7);
  CHECK_EQUAL(state_of(p.listener), 10);
  CHECK_EQUAL(state_of(p.client), 1);
  CHECK_EQUAL(net_shutdown(p.client, SHUT_WR), 0);
  net_settle();
  CHECK_EQUAL(state_of(p.client), 5);
  CHECK_EQUAL(state_of(p.server), 8);
  CHECK_EQUAL(net_shutdown(p.server, SHUT_WR), 0);
  net_settle();
  CHECK_EQUAL(state_of(p.client), 7);
  CHECK_EQUAL(state_of(p.server), 7);
  net_close(fresh);
  end(&p);
}

static void figures_in_tcp_info(void) {
  struct pair p = connected(AF_INET);
  struct tcp_info info;
  socklen_t n = sizeof info;
  char text[1000] = {0};
  CHECK_EQUAL(net_write(p.client, text, 1000), 1000);
  net_settle();
  CHECK_EQUAL(net_read(p.server, text, 1000), 1000);
  CHECK_EQUAL(net_getsockopt(p.client, IPPROTO_TCP, TCP_INFO, &info, &n), 0);
  CHECK_EQUAL(info.tcpi_bytes_acked, 1001);  // Linux counts the SYN
  CHECK_EQUAL(info.tcpi_bytes_sent, 1000);
  CHECK_EQUAL(info.tcpi_data_segs_out, 1);
  CHECK_EQUAL(info.tcpi_data_segs_in, 0);
  CHECK_EQUAL(info.tcpi_segs_out, 3);
  CHECK_EQUAL(info.tcpi_unacked, 0);
  CHECK_EQUAL(info.tcpi_total_retrans, 0);
  CHECK_TRUE(info.tcpi_snd_cwnd >= 2 && info.tcpi_snd_cwnd <= 12);
  CHECK_EQUAL(info.tcpi_snd_ssthresh, 0x7fffffff);
  CHECK_EQUAL(info.tcpi_ca_state, 0);
  CHECK_EQUAL(info.tcpi_options & 7, 7);  // timestamps, SACK, window scale
  CHECK_EQUAL(info.tcpi_notsent_bytes, 0);
  CHECK_EQUAL(info.tcpi_reordering, 3);
  CHECK_TRUE(info.tcpi_rto >= 200000 && info.tcpi_rto <= 250000);
  // Over the shim's loopback no time passes.
  CHECK_TRUE(net || (info.tcpi_rtt > 0 && info.tcpi_min_rtt > 0 && info.tcpi_rttvar > 0));
  CHECK_TRUE(info.tcpi_snd_wnd >= 30000 && info.tcpi_snd_mss > 500 && info.tcpi_advmss > 500 && info.tcpi_pmtu > 500);
  n = sizeof info;
  CHECK_EQUAL(net_getsockopt(p.server, IPPROTO_TCP, TCP_INFO, &info, &n), 0);
  CHECK_EQUAL(info.tcpi_bytes_received, 1000);
  CHECK_EQUAL(info.tcpi_data_segs_in, 1);
  CHECK_EQUAL(info.tcpi_segs_in, 3);
  CHECK_EQUAL(info.tcpi_bytes_acked, 0);
  n = 8;
  CHECK_EQUAL(net_getsockopt(p.server, IPPROTO_TCP, TCP_INFO, &info, &n), 0);
  CHECK_EQUAL(n, 8);
  end(&p);
}

static void a_slow_reader(void) {
  struct pair p = {-1, -1, -1};
  p.listener = listening(AF_INET, 5);
  CHECK_EQUAL(net_set(p.listener, SOL_SOCKET, SO_RCVBUF, 8192), 0);
  const struct sockaddr_in a = name_of(p.listener);
  p.client = net_socket(AF_INET, SOCK_STREAM, 0);
  CHECK_EQUAL(net_set(p.client, SOL_SOCKET, SO_SNDBUF, 16384), 0);
  CHECK_EQUAL(net_connect(p.client, &a, sizeof a), 0);
  p.server = net_accept(p.listener, NULL, NULL);
  static char block[4096];
  ssize_t sent = 0, n;
  while ((n = net_send(p.client, block, sizeof block, MSG_DONTWAIT)) > 0) sent += n;
  CHECK_EQUAL(errno, EAGAIN);
  CHECK_TRUE(sent >= 8192 && sent < 200000);
  net_settle();
  CHECK_EQUAL(net_ready(p.client, POLLOUT), 0);
  int queued = 0, waiting = 0;
  CHECK_EQUAL(net_ioctl(p.client, SIOCOUTQ, &queued), 0);
  CHECK_EQUAL(net_ioctl(p.server, SIOCINQ, &waiting), 0);
  CHECK_TRUE(queued + waiting >= sent);  // some may be read and not acknowledged
  CHECK_EQUAL(net_ioctl(p.client, SIOCOUTQNSD, &waiting), 0);
  CHECK_TRUE(waiting > 0 && waiting <= queued);
  ssize_t got = 0;
  for (int idle = 0; got < sent && idle < 100;) {
    if ((n = net_recv(p.server, block, sizeof block, MSG_DONTWAIT)) > 0) {
      got += n;
      idle = 0;
    } else {
      net_settle();
      ++idle;
    }
  }
  CHECK_EQUAL(got, sent);
  net_settle();
  CHECK_EQUAL(net_ready(p.client, POLLOUT), POLLOUT);
  end(&p);
}

static void time_limits(void) {
  struct pair p = connected(AF_INET);
  const struct timeval limit = {0, 30000};
  char byte;
  CHECK_EQUAL(net_setsockopt(p.server, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
  CHECK_FAILS(net_read(p.server, &byte, 1), EAGAIN);
  CHECK_EQUAL(net_setsockopt(p.listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
  CHECK_FAILS(net_accept(p.listener, NULL, NULL), EAGAIN);
  CHECK_EQUAL(net_setsockopt(p.client, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), 0);
  static char much[16 << 20];
  CHECK_TRUE(net_send(p.client, much, sizeof much, 0) < (ssize_t)sizeof much);
  for (int i = 0; i < 100 && net_send(p.client, much, 65536, 0) >= 0; ++i) {  // a buffer may still have grown
  }
  CHECK_EQUAL(errno, EAGAIN);
  struct pollfd one = {.fd = p.listener, .events = POLLIN};
  CHECK_EQUAL(net_poll(&one, 1, 30), 0);
  CHECK_EQUAL(one.revents, 0);
  end(&p);
}

static void a_low_water_mark(void) {
  struct pair p = connected(AF_INET);
  char text[8];
  CHECK_EQUAL(net_set(p.server, SOL_SOCKET, SO_RCVLOWAT, 4), 0);
  CHECK_EQUAL(net_write(p.client, "ab", 2), 2);
  net_settle();
  CHECK_EQUAL(net_ready(p.server, POLLIN), 0);
  CHECK_EQUAL(net_write(p.client, "cd", 2), 2);
  net_settle();
  CHECK_EQUAL(net_ready(p.server, POLLIN), POLLIN);
  CHECK_EQUAL(net_read(p.server, text, 8), 4);
  end(&p);
}

// Linux's TCP_INQ: what is left to read comes with what is read, the peer's end counted.
static int left_after(int fd, size_t size) {
  char text[16];
  union {
    char room[CMSG_SPACE(sizeof(int))];
    struct cmsghdr aligned;
  } control;
  struct iovec one = {text, size};
  struct msghdr m = {
      .msg_iov = &one, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
  CHECK_EQUAL(net_recvmsg(fd, &m, 0), (ssize_t)size);
  const struct cmsghdr* told = CMSG_FIRSTHDR(&m);
  if (!told) return -1;
  CHECK_EQUAL(told->cmsg_level, IPPROTO_TCP);
  CHECK_EQUAL(told->cmsg_type, TCP_CM_INQ);
  CHECK_EQUAL(told->cmsg_len, CMSG_LEN(sizeof(int)));
  int left = -1;
  memcpy(&left, CMSG_DATA(told), sizeof left);
  return left;
}

static void what_is_left_to_read(void) {
  struct pair p = connected(AF_INET);
  CHECK_FAILS(net_set(p.server, IPPROTO_TCP, TCP_INQ, 2), EINVAL);
  CHECK_EQUAL(net_write(p.client, "0123456789", 10), 10);
  net_settle();
  CHECK_EQUAL(left_after(p.server, 1), -1);
  CHECK_EQUAL(net_set(p.server, IPPROTO_TCP, TCP_INQ, 1), 0);
  CHECK_EQUAL(net_option(p.server, IPPROTO_TCP, TCP_INQ), 1);
  CHECK_EQUAL(left_after(p.server, 4), 5);
  char byte, narrow[4];
  struct iovec one = {&byte, 1};
  struct msghdr m = {.msg_iov = &one, .msg_iovlen = 1, .msg_control = narrow, .msg_controllen = sizeof narrow};
  CHECK_EQUAL(net_recvmsg(p.server, &m, 0), 1);
  CHECK_TRUE(m.msg_flags & MSG_CTRUNC);
  CHECK_EQUAL(m.msg_controllen, 0);
  CHECK_EQUAL(net_shutdown(p.client, SHUT_WR), 0);
  net_settle();
  CHECK_EQUAL(left_after(p.server, 3), 2);
  CHECK_EQUAL(left_after(p.server, 1), 1);
  CHECK_EQUAL(left_after(p.server, 0), 1);
  end(&p);
}

static void lingering(void) {
  struct pair p = connected(AF_INET);
  const struct linger wait = {1, 1};
  char text[8];
  CHECK_EQUAL(net_setsockopt(p.client, SOL_SOCKET, SO_LINGER, &wait, sizeof wait), 0);
  CHECK_EQUAL(net_write(p.client, "abc", 3), 3);
  CHECK_EQUAL(net_close(p.client), 0);  // returns when bytes and FIN are acknowledged
  p.client = -1;
  CHECK_EQUAL(net_read(p.server, text, 8), 3);
  CHECK_EQUAL(net_read(p.server, text, 8), 0);
  end(&p);
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  return twice((struct test[]){TEST(numbers_of_the_socket_level),
                               TEST(structures_of_the_socket_level),
                               TEST(numbers_of_tcp),
                               TEST(options_are_inherited),
                               TEST(states_in_tcp_info),
                               TEST(figures_in_tcp_info),
                               TEST(a_slow_reader),
                               TEST(time_limits),
                               TEST(a_low_water_mark),
                               TEST(what_is_left_to_read),
                               TEST(lingering),
                               {0}});
}
