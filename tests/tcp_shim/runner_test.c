// An outside runner, as small as it can be: a peer made of raw packets that drives one endpoint in virtual time.
#include "tests/support/tcp_shim/segments.h"

#include <fcntl.h>
#include <linux/tcp.h>
#include <sys/ioctl.h>

#include "tests/support/tcp_shim/checks.h"
#include "tests/tcp_shim/peer.h"

static void data_both_ways(int v6) {
  struct peer p;
  start(&p, NULL, v6);
  const int fd = accepted(&p);
  char text[64];
  inject(&p, PSH | ACK, "hello", 5, NULL, 0);
  CHECK_EQUAL(tcp_shim_read(p.shim, fd, text, sizeof text), 5);
  CHECK_TRUE(memcmp(text, "hello", 5) == 0);
  const int64_t before = tcp_shim_now_us(p.shim);
  struct segment s = next(&p, 1000000);  // at once at first, later delayed: by 40 ms, and on to the next tick of 1 ms
  CHECK_EQUAL(s.flags, ACK);
  CHECK_EQUAL(s.ack, p.seq);
  CHECK_TRUE(p.at - before <= 41100);
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
  CHECK_FAILS(tcp_shim_connect(p.shim, fd, (struct sockaddr*)&to, size), EINPROGRESS);
  struct segment s = next(&p, 0);
  CHECK_EQUAL(s.flags, SYN);
  const int64_t begun = p.at;
  for (int i = 1; i <= 3; ++i) {
    s = next(&p, 10000000);
    CHECK_EQUAL(s.flags, SYN);
    CHECK_TRUE(p.at - begun >= ((1 << i) - 1) * 1000000 && p.at - begun <= ((1 << i) - 1) * 1000000 + 2000 * i);
  }
  CHECK_FAILS(tcp_shim_connect(p.shim, fd, (struct sockaddr*)&to, size), EALREADY);
  p.port = 80;
  p.their_port = s.source_port;
  p.ack = s.seq + 1;
  inject(&p, SYN | ACK, NULL, 0, mss1000, 4);
  s = next(&p, 0);
  CHECK_EQUAL(s.flags, ACK);
  CHECK_EQUAL(s.ack, p.seq);
  CHECK_EQUAL(tcp_shim_connect(p.shim, fd, (struct sockaddr*)&to, size), 0);
  CHECK_FAILS(tcp_shim_connect(p.shim, fd, (struct sockaddr*)&to, size), EISCONN);
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
  while (next(&p, 0).size != SIZE_MAX) {}
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

// The same by the table that packetdrill fills in.
static void by_the_table_of_calls(void) {
  struct tcp_shim_calls calls;
  memset(&calls, 0, sizeof calls);
  packetdrill_interface_init("seed=3", &calls);
  const void* const* functions = (const void* const*)&calls;
  for (size_t i = 0; i < sizeof calls / sizeof *functions; ++i) CHECK_TRUE(functions[i]);
  struct peer p = {.shim = calls.handle, .port = 40000, .their_port = 8080, .seq = 1000};
  const int fd = accepted(&p);
  char text[8];
  inject(&p, PSH | ACK, "hello", 5, NULL, 0);
  CHECK_EQUAL(calls.read(calls.handle, fd, text, 8), 5);
  while (next(&p, 0).size != SIZE_MAX) {  // an ACK, if it is quick
  }
  CHECK_EQUAL(calls.write(calls.handle, fd, "you", 3), 3);
  size_t size = sizeof p.buffer;
  long long at = 0;
  CHECK_EQUAL(calls.receive_packet(calls.handle, p.buffer, &size, &at), 0);
  CHECK_EQUAL(at, tcp_shim_now_us(p.shim));
  struct segment s;
  CHECK_TRUE(segment_read(p.buffer, size, &s) && s.size == 3);
  size = sizeof p.buffer;
  CHECK_EQUAL(calls.receive_packet(calls.handle, p.buffer, &size, &at), 0);  // waits for the retransmission
  CHECK_TRUE(segment_read(p.buffer, size, &s) && s.size == 3);
  p.ack += 3;
  inject(&p, ACK, NULL, 0, NULL, 0);
  CHECK_EQUAL(calls.fcntl(calls.handle, fd, F_SETFL, O_RDWR | O_NONBLOCK), 0);
  CHECK_EQUAL(calls.fcntl(calls.handle, fd, F_GETFL), O_RDWR | O_NONBLOCK);
  int waiting = -1;
  CHECK_EQUAL(calls.ioctl(calls.handle, fd, FIONREAD, &waiting), 0);
  CHECK_EQUAL(waiting, 0);
  struct timeval first, second;
  CHECK_EQUAL(calls.gettimeofday(calls.handle, &first, NULL), 0);
  CHECK_EQUAL(calls.gettimeofday(calls.handle, &second, NULL), 0);
  CHECK_EQUAL(second.tv_usec, first.tv_usec + 1);
  CHECK_EQUAL(calls.close(calls.handle, fd), 0);
  int pipes[2];
  CHECK_FAILS(calls.pipe(calls.handle, pipes), ENOSYS);
  calls.free(calls.handle);
}

int main(void) {
  RUN(by_the_table_of_calls);
  RUN(data_both_ways_over_ip4);
  RUN(data_both_ways_over_ip6);
  RUN(retransmission_doubles);
  RUN(connects_over_ip4);
  RUN(connects_over_ip6);
  RUN(closes);
  return tests_failed != 0;
}
