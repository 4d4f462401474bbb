// What options of the endpoint and of its sockets change on the wire, and the calls that no socket has.
#include "tests/tcp_shim/peer.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

static int set(struct peer* p, int fd, int level, int name, int value) {
  return tcp_shim_setsockopt(p->shim, fd, level, name, &value, sizeof value);
}
static int get(struct peer* p, int fd, int level, int name) {
  int value = -1;
  socklen_t n = sizeof value;
  return tcp_shim_getsockopt(p->shim, fd, level, name, &value, &n) ? -1 : value;
}
// An option of a segment: its place behind kind and length, or NULL.
static const uint8_t* option(const struct segment* s, uint8_t kind) {
  for (size_t i = 0; i < s->options_size && s->options[i] != 0; i += s->options[i] == 1 ? 1 : s->options[i + 1])
    if (s->options[i] == kind) return &s->options[i + 2];
  return NULL;
}
// The SYN of a connect to the peer.
static struct segment syn_of(struct peer* p, int fd) {
  struct sockaddr_storage to;
  const socklen_t size = address(&to, p->v6, 80, 1);
  CHECK_FAILS(tcp_shim_connect(p->shim, fd, (struct sockaddr*)&to, size), EINPROGRESS);
  return next(p, 0);
}
static int fresh(struct peer* p) {
  return tcp_shim_socket(p->shim, p->v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
}

static void options_of_the_syn(void) {
  struct peer p;
  start(&p, NULL, 0);
  struct segment s = syn_of(&p, fresh(&p));
  const uint8_t* mss = option(&s, 2);
  CHECK_TRUE(mss && segment_get16(mss) == 1460);
  CHECK_TRUE(option(&s, 3) && option(&s, 4) && option(&s, 8));
  CHECK_EQUAL(tcp_shim_reset(p.shim, "mtu=1400;net.ipv4.tcp_timestamps=0, tcp_sack=0\twindow_scaling=0"), 0);
  s = syn_of(&p, fresh(&p));
  mss = option(&s, 2);
  CHECK_TRUE(mss && segment_get16(mss) == 1360);
  CHECK_TRUE(!option(&s, 3) && !option(&s, 4) && !option(&s, 8));
  CHECK_EQUAL(tcp_shim_reset(p.shim, NULL), 0);
  p.v6 = 1;
  s = syn_of(&p, fresh(&p));
  mss = option(&s, 2);
  CHECK_TRUE(mss && segment_get16(mss) == 1440);
  p.v6 = 0;
  const int fd = fresh(&p);
  CHECK_EQUAL(set(&p, fd, IPPROTO_TCP, TCP_MAXSEG, 1000), 0);
  CHECK_EQUAL(set(&p, fd, SOL_SOCKET, SO_RCVBUF, 10000), 0);
  s = syn_of(&p, fd);
  mss = option(&s, 2);
  CHECK_TRUE(mss && segment_get16(mss) == 1000);
  CHECK_EQUAL(s.window, 10000);
  tcp_shim_free(p.shim);
}

static void texts_that_are_no_options(void) {
  const char* const wrong[] = {"mtu",       "mtu=",        "mtu=99",         "mtu=1500x",
                               "nothing=1", "local=1.2.3", "blocking=never", "ports=9-8"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
    errno = 0;
    CHECK_TRUE(tcp_shim_new(wrong[i]) == NULL);
    CHECK_EQUAL(errno, EINVAL);
  }
  struct peer p;
  start(&p, "local=10.1.2.3 first_fd=5", 0);
  CHECK_FAILS(tcp_shim_reset(p.shim, "mtu=1"), EINVAL);
  CHECK_EQUAL(fresh(&p), 5);
  struct sockaddr_storage to;
  const int six = tcp_shim_socket(p.shim, AF_INET6, SOCK_STREAM, 0);
  CHECK_FAILS(tcp_shim_connect(p.shim, six, (struct sockaddr*)&to, address(&to, 1, 80, 1)), ENETUNREACH);
  tcp_shim_free(p.shim);
}

static void a_seed_repeats_all(void) {
  uint8_t packets[3][2048];
  ssize_t sizes[3];
  const char* const options[] = {"seed=5", "seed=5", "seed=6"};
  for (int i = 0; i < 3; ++i) {
    struct peer p;
    start(&p, options[i], 0);
    struct sockaddr_storage to;
    const socklen_t n = address(&to, 0, 80, 1);
    const int fd = fresh(&p);
    CHECK_FAILS(tcp_shim_connect(p.shim, fd, (struct sockaddr*)&to, n), EINPROGRESS);
    CHECK_FAILS(tcp_shim_next(p.shim, packets[i], 10, NULL), EMSGSIZE);
    sizes[i] = tcp_shim_next(p.shim, packets[i], sizeof packets[i], NULL);
    CHECK_TRUE(sizes[i] > 40);
    CHECK_EQUAL(tcp_shim_next(p.shim, packets[i], sizeof packets[i], NULL), 0);
    tcp_shim_free(p.shim);
  }
  CHECK_TRUE(sizes[0] == sizes[1] && memcmp(packets[0], packets[1], (size_t)sizes[0]) == 0);
  CHECK_TRUE(sizes[0] == sizes[2] && memcmp(packets[0], packets[2], (size_t)sizes[0]) != 0);
}

static void nagle_and_its_switches(void) {
  struct peer p;
  start(&p, NULL, 0);
  const int fd = accepted(&p);
  CHECK_EQUAL(tcp_shim_write(p.shim, fd, "a", 1), 1);
  CHECK_EQUAL(next(&p, 0).size, 1);
  CHECK_EQUAL(tcp_shim_write(p.shim, fd, "b", 1), 1);
  nothing(&p, 0);
  int value = -1;
  CHECK_EQUAL(tcp_shim_ioctl(p.shim, fd, SIOCOUTQNSD, &value), 0);
  CHECK_EQUAL(value, 1);
  CHECK_EQUAL(tcp_shim_ioctl(p.shim, fd, SIOCOUTQ, &value), 0);
  CHECK_EQUAL(value, 2);
  CHECK_EQUAL(set(&p, fd, IPPROTO_TCP, TCP_NODELAY, 1), 0);  // sends what waits
  CHECK_EQUAL(next(&p, 0).size, 1);
  CHECK_EQUAL(set(&p, fd, IPPROTO_TCP, TCP_CORK, 1), 0);
  CHECK_EQUAL(tcp_shim_write(p.shim, fd, "cd", 2), 2);
  nothing(&p, 0);
  CHECK_EQUAL(set(&p, fd, IPPROTO_TCP, TCP_CORK, 0), 0);
  CHECK_EQUAL(next(&p, 0).size, 2);
  CHECK_EQUAL(tcp_shim_send(p.shim, fd, "e", 1, MSG_MORE), 1);
  nothing(&p, 0);
  CHECK_EQUAL(tcp_shim_send(p.shim, fd, "fg", 2, 0), 2);
  CHECK_EQUAL(next(&p, 0).size, 3);
  tcp_shim_free(p.shim);
}

static void keepalive_ends_a_silent_connection(void) {
  struct peer p;
  start(&p, NULL, 0);
  const int fd = accepted(&p);
  CHECK_EQUAL(set(&p, fd, IPPROTO_TCP, TCP_KEEPIDLE, 10), 0);
  CHECK_EQUAL(set(&p, fd, IPPROTO_TCP, TCP_KEEPINTVL, 2), 0);
  CHECK_EQUAL(set(&p, fd, IPPROTO_TCP, TCP_KEEPCNT, 3), 0);
  CHECK_EQUAL(set(&p, fd, SOL_SOCKET, SO_KEEPALIVE, 1), 0);
  const int64_t begun = tcp_shim_now_us(p.shim);
  for (int i = 0; i < 3; ++i) {
    const struct segment s = next(&p, 60000000);
    CHECK_EQUAL(s.flags, ACK);
    CHECK_EQUAL(s.seq, p.ack - 1);  // before what is expected: it has to be answered
    const int64_t at = begun + 10000000 + i * 2000000;
    CHECK_TRUE(p.at >= at && p.at <= at + 5000);
  }
  char byte;
  const struct segment s = next(&p, 60000000);
  CHECK_EQUAL(s.flags, RST | ACK);
  CHECK_FAILS(tcp_shim_read(p.shim, fd, &byte, 1), ETIMEDOUT);
  tcp_shim_free(p.shim);
}

static void user_timeout_ends_unanswered_sending(void) {
  struct peer p;
  start(&p, NULL, 0);
  const int fd = accepted(&p);
  CHECK_EQUAL(set(&p, fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000), 0);
  CHECK_EQUAL(tcp_shim_write(p.shim, fd, "x", 1), 1);
  const int64_t begun = tcp_shim_now_us(p.shim);
  while (get(&p, fd, SOL_SOCKET, SO_ERROR) == 0 && tcp_shim_now_us(p.shim) < begun + 60000000)
    tcp_shim_usleep(p.shim, 100000);
  // At the first timeout of the timer after it: 0.2, 0.6, 1.4, 3.0, 6.2 s.
  CHECK_TRUE(tcp_shim_now_us(p.shim) >= begun + 5000000 && tcp_shim_now_us(p.shim) <= begun + 6400000);
  CHECK_TRUE(tcp_shim_counter(p.shim, "tcp_timed_out") == 1);
  tcp_shim_free(p.shim);
}

static void packets_that_are_not_taken(void) {
  struct peer p;
  start(&p, NULL, 0);
  uint8_t packet[100] = {0x45};
  CHECK_FAILS(tcp_shim_inject(p.shim, packet, 5), EINVAL);
  CHECK_FAILS(tcp_shim_inject(p.shim, NULL, 50), EINVAL);
  packet[0] = 0x15;
  CHECK_FAILS(tcp_shim_inject(p.shim, packet, 100), EINVAL);
  static uint8_t large[70000] = {0x45};
  CHECK_FAILS(tcp_shim_inject(p.shim, large, sizeof large), EMSGSIZE);
  CHECK_EQUAL(tcp_shim_dropped(p.shim), 0);
  struct segment s = {.source_port = 1, .destination_port = 2, .flags = SYN};
  memcpy(s.source, peer4, 4);
  memcpy(s.destination, shim4, 4);
  size_t n = segment_write(&s, packet);
  packet[30] ^= 1;
  CHECK_EQUAL(tcp_shim_inject(p.shim, packet, n), 0);  // a wrong checksum
  CHECK_EQUAL(tcp_shim_dropped(p.shim), 1);
  s.destination[3] = 99;
  n = segment_write(&s, packet);
  CHECK_EQUAL(tcp_shim_inject(p.shim, packet, n), 0);  // for somebody else
  CHECK_EQUAL(tcp_shim_dropped(p.shim), 2);
  nothing(&p, 0);
  memcpy(s.destination, shim4, 4);
  n = segment_write(&s, packet);
  CHECK_EQUAL(tcp_shim_inject(p.shim, packet, n), 0);  // for us, where nobody listens
  CHECK_EQUAL(tcp_shim_dropped(p.shim), 2);
  CHECK_EQUAL(next(&p, 0).flags, RST | ACK);
  CHECK_TRUE(tcp_shim_counter(p.shim, "tcp_resets_sent") == 1);
  CHECK_TRUE(tcp_shim_counter(p.shim, "no_such_counter") == UINT64_MAX);
  tcp_shim_free(p.shim);
}

static void a_segment_larger_than_a_buffer(void) {
  struct peer p;
  start(&p, "rcvbuf=1000000", 0);
  const int fd = accepted(&p);
  static uint8_t block[20000], back[20000];
  for (size_t i = 0; i < sizeof block; ++i) block[i] = (uint8_t)(i * 7 + i / 256);
  inject(&p, PSH | ACK, block, sizeof block, NULL, 0);
  int waiting = 0;
  CHECK_EQUAL(tcp_shim_ioctl(p.shim, fd, FIONREAD, &waiting), 0);
  CHECK_EQUAL(waiting, sizeof block);
  CHECK_EQUAL(tcp_shim_recv(p.shim, fd, back, sizeof back, MSG_PEEK), sizeof block);
  CHECK_EQUAL(memcmp(block, back, sizeof block), 0);
  memset(back, 0, sizeof back);
  CHECK_EQUAL(tcp_shim_read(p.shim, fd, back, 3000), 3000);
  CHECK_EQUAL(tcp_shim_read(p.shim, fd, back + 3000, sizeof back), 17000);
  CHECK_EQUAL(memcmp(block, back, sizeof block), 0);
  CHECK_EQUAL(next(&p, 1000000).ack, p.seq);
  tcp_shim_free(p.shim);
}

// An ICMP error of a router about the packet that left last.
static void unreachable(struct peer* p, const uint8_t* about, uint8_t type, uint8_t code, uint16_t mtu) {
  uint8_t packet[100] = {0};
  const size_t ip = p->v6 ? 40 : 20, quoted = p->v6 ? 48 : 28, size = ip + 8 + quoted;
  if (p->v6) {
    packet[0] = 0x60;
    segment_put16(packet + 4, (uint32_t)(8 + quoted));
    packet[6] = 58;
    packet[7] = 64;
    memcpy(packet + 8, peer6, 16);
    memcpy(packet + 24, shim6, 16);
  } else {
    packet[0] = 0x45;
    segment_put16(packet + 2, (uint32_t)size);
    packet[8] = 64;
    packet[9] = 1;
    memcpy(packet + 12, peer4, 4);
    memcpy(packet + 16, shim4, 4);
    segment_put16(packet + 10, ~segment_sum(packet, 20, 0) & 0xffff);
  }
  uint8_t* icmp = packet + ip;
  icmp[0] = type;
  icmp[1] = code;
  segment_put16(icmp + 6, mtu);
  memcpy(icmp + 8, about, quoted);
  const uint32_t start = p->v6 ? segment_sum(packet + 8, 32, 58 + (uint32_t)(8 + quoted)) : 0;
  segment_put16(icmp + 2, ~segment_sum(icmp, 8 + quoted, start) & 0xffff);
  CHECK_EQUAL(tcp_shim_inject(p->shim, packet, size), 0);
}

static void icmp_ends_a_connect(void) {
  const struct {
    int v6;
    uint8_t type, code;
    int error;
  } cases[] = {{0, 3, 0, ENETUNREACH},   {0, 3, 1, EHOSTUNREACH},  {0, 3, 2, ENOPROTOOPT}, {0, 3, 3, ECONNREFUSED},
               {0, 3, 13, EHOSTUNREACH}, {0, 11, 0, EHOSTUNREACH}, {1, 1, 0, ENETUNREACH}, {1, 1, 1, EACCES},
               {1, 1, 3, EHOSTUNREACH},  {1, 1, 4, ECONNREFUSED}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    struct peer p;
    start(&p, NULL, cases[i].v6);
    const int fd = fresh(&p);
    syn_of(&p, fd);
    unreachable(&p, p.buffer, cases[i].type, cases[i].code, 0);
    CHECK_EQUAL(get(&p, fd, SOL_SOCKET, SO_ERROR), cases[i].error);
    CHECK_EQUAL(get(&p, fd, SOL_SOCKET, SO_ERROR), 0);
    nothing(&p, 10000000);
    tcp_shim_free(p.shim);
  }
}

static void icmp_is_remembered_by_a_connection(void) {
  struct peer p;
  char byte = 'x';
  start(&p, "user_timeout_ms=3000", 0);
  const int fd = accepted(&p);
  CHECK_EQUAL(tcp_shim_write(p.shim, fd, &byte, 1), 1);
  CHECK_EQUAL(next(&p, 0).size, 1);
  unreachable(&p, p.buffer, 3, 1, 0);
  CHECK_EQUAL(get(&p, fd, SOL_SOCKET, SO_ERROR), EHOSTUNREACH);  // told once, and nothing is over
  CHECK_EQUAL(get(&p, fd, SOL_SOCKET, SO_ERROR), 0);
  CHECK_FAILS(tcp_shim_recv(p.shim, fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
  unreachable(&p, p.buffer, 3, 1, 0);
  inject(&p, ACK, NULL, 0, NULL, 0);  // something gets through: it is forgotten
  CHECK_EQUAL(get(&p, fd, SOL_SOCKET, SO_ERROR), 0);
  unreachable(&p, p.buffer, 3, 1, 0);
  tcp_shim_usleep(p.shim, 10000000);
  CHECK_FAILS(tcp_shim_read(p.shim, fd, &byte, 1), EHOSTUNREACH);  // not ETIMEDOUT
  tcp_shim_free(p.shim);
}

static void icmp_makes_segments_smaller(void) {
  struct peer p;
  start(&p, NULL, 0);
  const int fd = accepted(&p);  // its MSS is 1000
  static char block[3000];
  CHECK_EQUAL(tcp_shim_write(p.shim, fd, block, 1000), 1000);
  CHECK_EQUAL(next(&p, 0).size, 1000);
  unreachable(&p, p.buffer, 3, 4, 700);
  CHECK_EQUAL(next(&p, 3000000).size, 660);
  CHECK_EQUAL(get(&p, fd, IPPROTO_TCP, TCP_MAXSEG), 660);
  struct tcp_info info;
  socklen_t n = sizeof info;
  CHECK_EQUAL(tcp_shim_getsockopt(p.shim, fd, IPPROTO_TCP, TCP_INFO, &info, &n), 0);
  CHECK_EQUAL(info.tcpi_pmtu, 700);
  tcp_shim_free(p.shim);
}

// With cookies always, a handshake leaves nothing behind, and the ACK brings the connection.
static void cookies(void) {
  struct peer p;
  start(&p, "net.ipv4.tcp_syncookies=2", 0);
  const int fd = accepted(&p);
  CHECK_TRUE(tcp_shim_counter(p.shim, "tcp_syn_cookies_sent") == 1);
  CHECK_TRUE(tcp_shim_counter(p.shim, "tcp_syn_cookies_accepted") == 1);
  CHECK_EQUAL(tcp_shim_write(p.shim, fd, "x", 1), 1);
  CHECK_EQUAL(next(&p, 0).size, 1);
  tcp_shim_free(p.shim);
}

static void acks_are_quick_or_delayed(void) {
  const char* const options[] = {"quick_acks=0 delayed_ack_ms=100", "quick_acks=16 delayed_ack_ms=100"};
  for (int quick = 0; quick < 2; ++quick) {
    struct peer p;
    start(&p, options[quick], 0);
    const int fd = accepted(&p);
    CHECK_TRUE(fd >= 0);
    const int64_t begun = tcp_shim_now_us(p.shim);
    inject(&p, PSH | ACK, "abc", 3, NULL, 0);
    CHECK_EQUAL(next(&p, 1000000).ack, p.seq);
    CHECK_TRUE(quick ? p.at == begun : p.at >= begun + 100000 && p.at <= begun + 101100);
    tcp_shim_free(p.shim);
  }
}

static void ecn_is_asked_for(void) {
  struct peer p;
  start(&p, "tcp_ecn=1", 0);
  CHECK_EQUAL(syn_of(&p, fresh(&p)).flags, SYN | ECE | CWR);
  CHECK_EQUAL(tcp_shim_reset(p.shim, "tcp_ecn=2"), 0);
  CHECK_EQUAL(syn_of(&p, fresh(&p)).flags, SYN);
  inject(&p, SYN | ECE | CWR, NULL, 0, mss1000, 4);  // nobody listens
  CHECK_EQUAL(next(&p, 0).flags, RST | ACK);
  tcp_shim_free(p.shim);
}

static void the_clock(void) {
  struct peer p;
  struct timeval now;
  start(&p, "start_us=5000000 spin_us=3", 0);
  CHECK_EQUAL(tcp_shim_now_us(p.shim), 5000000);
  CHECK_EQUAL(tcp_shim_gettimeofday(p.shim, &now, NULL), 0);
  CHECK_EQUAL(now.tv_sec, 5);
  CHECK_EQUAL(now.tv_usec, 3);
  CHECK_EQUAL(tcp_shim_next_timer_us(p.shim), -1);
  CHECK_EQUAL(tcp_shim_usleep(p.shim, 999997), 0);
  CHECK_EQUAL(tcp_shim_now_us(p.shim), 6000000);
  CHECK_EQUAL(syn_of(&p, fresh(&p)).flags, SYN);
  const int64_t next_timer = tcp_shim_next_timer_us(p.shim);
  CHECK_TRUE(next_timer > 6000000 && next_timer <= 7001000);
  char byte;
  CHECK_EQUAL(tcp_shim_reset(p.shim, "blocking=advance"), 0);
  const int fd = accepted(&p);
  errno = 0;
  CHECK_FAILS(tcp_shim_read(p.shim, fd, &byte, 1), EDEADLK);  // nothing can come of it
  tcp_shim_free(p.shim);
}

int main(void) {
  RUN(options_of_the_syn);
  RUN(texts_that_are_no_options);
  RUN(a_seed_repeats_all);
  RUN(nagle_and_its_switches);
  RUN(keepalive_ends_a_silent_connection);
  RUN(user_timeout_ends_unanswered_sending);
  RUN(packets_that_are_not_taken);
  RUN(a_segment_larger_than_a_buffer);
  RUN(the_clock);
  RUN(acks_are_quick_or_delayed);
  RUN(ecn_is_asked_for);
  RUN(icmp_ends_a_connect);
  RUN(icmp_is_remembered_by_a_connection);
  RUN(icmp_makes_segments_smaller);
  RUN(cookies);
  return tests_failed != 0;
}
