// An outside runner, as small as it can be: a peer made of raw packets that drives one endpoint in virtual time.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>

#include "tests/support/tcp_shim/checks.h"
#include "tests/support/tcp_shim/segments.h"
#include "tests/support/tcp_shim/tcp_shim.h"

// The peer: 192.0.2.1, port 40000, first sequence number 1000; with `v6`, 2001:db8::1.
struct peer {
  tcp_shim *shim;
  int v6;
  uint16_t port, their_port;
  uint32_t seq, ack;
  uint8_t buffer[70000];
  int64_t at;  // when the last packet of theirs left
};

static const uint8_t peer4[4] = {192, 0, 2, 1}, shim4[4] = {192, 168, 0, 1};
static const uint8_t peer6[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
static const uint8_t shim6[16] = {0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

static void start(struct peer *p, const char *options, int v6) {
  memset(p, 0, sizeof *p);
  p->shim = tcp_shim_new(options);
  p->v6 = v6;
  p->port = 40000;
  p->their_port = 8080;
  p->seq = 1000;
  if (!CHECK_TRUE(p->shim)) exit(1);
}

static void inject(struct peer *p, uint8_t flags, const void *payload, size_t size, const void *options,
                   size_t options_size) {
  struct segment s = {.v6 = p->v6, .source_port = p->port, .destination_port = p->their_port, .seq = p->seq};
  memcpy(s.source, p->v6 ? peer6 : peer4, p->v6 ? 16 : 4);
  memcpy(s.destination, p->v6 ? shim6 : shim4, p->v6 ? 16 : 4);
  s.ack = flags & ACK ? p->ack : 0;
  s.flags = flags;
  s.window = 65535;
  s.payload = payload;
  s.size = size;
  if (options_size) memcpy(s.options, options, s.options_size = options_size);
  uint8_t packet[70000];
  CHECK_EQUAL(tcp_shim_inject(p->shim, packet, segment_write(&s, packet)), 0);
  p->seq += (uint32_t)size + ((flags & SYN) != 0) + ((flags & FIN) != 0);
}

// The next segment that left, within `wait_us` from now; size SIZE_MAX when there is none.
static struct segment next(struct peer *p, int64_t wait_us) {
  struct segment s = {.size = SIZE_MAX};
  const ssize_t n = tcp_shim_await(p->shim, p->buffer, sizeof p->buffer, &p->at, wait_us);
  if (n <= 0) return s;
  if (!CHECK_TRUE(segment_read(p->buffer, (size_t)n, &s))) exit(1);
  return s;
}
static void nothing(struct peer *p, int64_t wait_us) { CHECK_EQUAL(next(p, wait_us).size, SIZE_MAX); }

static socklen_t address(struct sockaddr_storage *out, int v6, uint16_t port, int of_peer) {
  memset(out, 0, sizeof *out);
  if (v6) {
    struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (of_peer) memcpy(&in.sin6_addr, peer6, 16);
    memcpy(out, &in, sizeof in);
    return sizeof in;
  }
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (of_peer) memcpy(&in.sin_addr, peer4, 4);
  memcpy(out, &in, sizeof in);
  return sizeof in;
}

static const uint8_t mss1000[4] = {2, 4, 3, 232};

// A passive open by three segments; returns the accepted socket.
static int accepted(struct peer *p) {
  struct sockaddr_storage a;
  const socklen_t size = address(&a, p->v6, p->their_port, 0);
  const int listener = tcp_shim_socket(p->shim, p->v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  CHECK_TRUE(listener >= 0);
  CHECK_EQUAL(tcp_shim_bind(p->shim, listener, (struct sockaddr *)&a, size), 0);
  CHECK_EQUAL(tcp_shim_listen(p->shim, listener, 1), 0);
  CHECK_FAILS(tcp_shim_accept(p->shim, listener, NULL, NULL), EAGAIN);
  inject(p, SYN, NULL, 0, mss1000, 4);
  const struct segment s = next(p, 0);
  CHECK_EQUAL(s.flags, SYN | ACK);
  CHECK_EQUAL(s.ack, p->seq);
  p->ack = s.seq + 1;
  inject(p, ACK, NULL, 0, NULL, 0);
  struct sockaddr_storage from;
  socklen_t from_size = sizeof from;
  const int fd = tcp_shim_accept(p->shim, listener, (struct sockaddr *)&from, &from_size);
  CHECK_TRUE(fd >= 0);
  CHECK_EQUAL(from_size, size);
  CHECK_EQUAL(ntohs(((struct sockaddr_in *)&from)->sin_port), p->port);
  CHECK_EQUAL(tcp_shim_close(p->shim, listener), 0);
  return fd;
}

static void data_both_ways(int v6) {
  struct peer p;
  start(&p, NULL, v6);
  const int fd = accepted(&p);
  char text[64];
  inject(&p, PSH | ACK, "hello", 5, NULL, 0);
  CHECK_EQUAL(tcp_shim_read(p.shim, fd, text, sizeof text), 5);
  CHECK_TRUE(memcmp(text, "hello", 5) == 0);
  const int64_t before = tcp_shim_now_us(p.shim);
  struct segment s = next(&p, 1000000);  // the delayed ACK: 40 ms, on a tick of 1 ms
  CHECK_EQUAL(s.flags, ACK);
  CHECK_EQUAL(s.ack, p.seq);
  CHECK_EQUAL(p.at - before, 40000);
  CHECK_EQUAL(tcp_shim_write(p.shim, fd, "world!", 6), 6);
  s = next(&p, 0);
  CHECK_EQUAL(s.size, 6);
  CHECK_EQUAL(s.seq, p.ack);
  CHECK_TRUE(memcmp(s.payload, "world!", 6) == 0);
  p.ack += 6;
  inject(&p, ACK, NULL, 0, NULL, 0);
  nothing(&p, 1000000);
  tcp_shim_free(p.shim);
}
static void data_both_ways_over_ip4(void) { data_both_ways(0); }
static void data_both_ways_over_ip6(void) { data_both_ways(1); }

// RFC 6298: the first timeout of a connection whose handshake took no time is 200 ms (the floor), then it doubles.
static void retransmission_doubles(void) {
  struct peer p;
  start(&p, NULL, 0);
  const int fd = accepted(&p);
  CHECK_EQUAL(tcp_shim_write(p.shim, fd, "x", 1), 1);
  struct segment s = next(&p, 0);
  CHECK_EQUAL(s.size, 1);
  int64_t last = p.at;
  const int64_t gaps[] = {200000, 400000, 800000, 1600000};
  for (int i = 0; i < 4; ++i) {
    s = next(&p, 5000000);
    CHECK_EQUAL(s.seq, p.ack);
    CHECK_EQUAL(s.size, 1);
    CHECK_TRUE(p.at - last >= gaps[i] && p.at - last <= gaps[i] + 2000);
    last = p.at;
  }
  p.ack += 1;
  inject(&p, ACK, NULL, 0, NULL, 0);
  nothing(&p, 10000000);
  tcp_shim_free(p.shim);
}

// SYNs at 0, 1, 3, 7 s (RFC 6298: 1 s, doubled), then the answer.
static void connects(int v6) {
  struct peer p;
  start(&p, NULL, v6);
  struct sockaddr_storage to;
  const socklen_t size = address(&to, v6, 80, 1);
  const int fd = tcp_shim_socket(p.shim, v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP);
  CHECK_FAILS(tcp_shim_connect(p.shim, fd, (struct sockaddr *)&to, size), EINPROGRESS);
  struct segment s = next(&p, 0);
  CHECK_EQUAL(s.flags, SYN);
  const int64_t begun = p.at;
  for (int i = 1; i <= 3; ++i) {
    s = next(&p, 10000000);
    CHECK_EQUAL(s.flags, SYN);
    CHECK_TRUE(p.at - begun >= ((1 << i) - 1) * 1000000 && p.at - begun <= ((1 << i) - 1) * 1000000 + 2000 * i);
  }
  CHECK_FAILS(tcp_shim_connect(p.shim, fd, (struct sockaddr *)&to, size), EALREADY);
  p.port = 80;
  p.their_port = s.source_port;
  p.ack = s.seq + 1;
  inject(&p, SYN | ACK, NULL, 0, mss1000, 4);
  s = next(&p, 0);
  CHECK_EQUAL(s.flags, ACK);
  CHECK_EQUAL(s.ack, p.seq);
  CHECK_EQUAL(tcp_shim_connect(p.shim, fd, (struct sockaddr *)&to, size), 0);
  CHECK_FAILS(tcp_shim_connect(p.shim, fd, (struct sockaddr *)&to, size), EISCONN);
  tcp_shim_free(p.shim);
}
static void connects_over_ip4(void) { connects(0); }
static void connects_over_ip6(void) { connects(1); }

// FIN both ways, ours first: FIN-WAIT-1, FIN-WAIT-2, TIME-WAIT, whose answer to an old segment is an ACK.
static void closes(void) {
  struct peer p;
  start(&p, NULL, 0);
  const int fd = accepted(&p);
  char byte;
  CHECK_EQUAL(tcp_shim_shutdown(p.shim, fd, SHUT_WR), 0);
  struct segment s = next(&p, 0);
  CHECK_EQUAL(s.flags, FIN | ACK);
  p.ack = s.seq + 1;
  inject(&p, ACK, NULL, 0, NULL, 0);
  inject(&p, PSH | ACK, "z", 1, NULL, 0);
  CHECK_EQUAL(tcp_shim_read(p.shim, fd, &byte, 1), 1);
  inject(&p, FIN | ACK, NULL, 0, NULL, 0);
  CHECK_EQUAL(tcp_shim_read(p.shim, fd, &byte, 1), 0);
  s = next(&p, 0);
  CHECK_EQUAL(s.flags, ACK);
  CHECK_EQUAL(s.ack, p.seq);
  CHECK_EQUAL(tcp_shim_close(p.shim, fd), 0);
  nothing(&p, 1000000);
  p.seq -= 1;
  inject(&p, FIN | ACK, NULL, 0, NULL, 0);
  s = next(&p, 0);
  CHECK_EQUAL(s.flags, ACK);
  nothing(&p, 120000000);
  inject(&p, FIN | ACK, NULL, 0, NULL, 0);  // after 2 MSL nobody is there
  CHECK_EQUAL(next(&p, 0).flags, RST);
  tcp_shim_free(p.shim);
}

int main(void) {
  RUN(data_both_ways_over_ip4);
  RUN(data_both_ways_over_ip6);
  RUN(retransmission_doubles);
  RUN(connects_over_ip4);
  RUN(connects_over_ip6);
  RUN(closes);
  return tests_failed != 0;
}
