// Calls that block in one thread while another injects packets and moves the clock. What is expected of the order is
// exact: whoever injects or sleeps goes on only when the thread that it woke has returned or sleeps again.
#include "tests/support/tcp_shim/checks.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tests/support/tcp_shim/tcp_shim.h"
#include "tests/tcp_shim/peer.h"

// One blocking call: what it is given and what came of it.
struct call {
  struct peer* peer;
  int fd;
  ssize_t (*make)(struct call* c);
  ssize_t result;
  int error;
  int64_t at;  // of the clock, when it returned
  pthread_t thread;
  char bytes[64];
};

static void* run_call(void* argument) {
  struct call* c = argument;
  errno = 0;
  c->result = c->make(c);
  c->error = errno;
  c->at = tcp_shim_now_us(c->peer->shim);
  return NULL;
}

// Starts it and waits until it sleeps.
static void begin(struct call* c, struct peer* p, int fd, ssize_t (*make)(struct call*)) {
  memset(c, 0, sizeof *c);
  c->peer = p;
  c->fd = fd;
  c->make = make;
  const unsigned before = tcp_shim_blocked(p->shim);
  CHECK_EQUAL(pthread_create(&c->thread, NULL, run_call, c), 0);
  for (int patience = 100000; tcp_shim_blocked(p->shim) == before && patience > 0; --patience) usleep(100);
}
static ssize_t finish(struct call* c) {
  pthread_join(c->thread, NULL);
  return c->result;
}

static ssize_t call_accept(struct call* c) { return tcp_shim_accept(c->peer->shim, c->fd, NULL, NULL); }
static ssize_t call_read(struct call* c) { return tcp_shim_read(c->peer->shim, c->fd, c->bytes, sizeof c->bytes); }
static ssize_t call_read_all(struct call* c) { return tcp_shim_recv(c->peer->shim, c->fd, c->bytes, 10, MSG_WAITALL); }
static ssize_t call_connect(struct call* c) {
  struct sockaddr_storage to;
  const socklen_t size = address(&to, 0, 80, 1);
  return tcp_shim_connect(c->peer->shim, c->fd, (struct sockaddr*)&to, size);
}
static ssize_t call_write(struct call* c) {
  static const char much[100000];
  return tcp_shim_write(c->peer->shim, c->fd, much, sizeof much);
}
static ssize_t call_poll(struct call* c) {
  struct pollfd one = {.fd = c->fd, .events = POLLIN};
  const int n = tcp_shim_poll(c->peer->shim, &one, 1, 500);
  c->bytes[0] = (char)one.revents;
  return n;
}
static ssize_t call_epoll_wait(struct call* c) {
  struct epoll_event e[2];
  const int n = tcp_shim_epoll_wait(c->peer->shim, c->fd, e, 2, -1);
  c->bytes[0] = n == 1 ? (char)e[0].data.u32 : 0;
  return n;
}

static void accept_waits_for_the_handshake(void) {
  struct peer p;
  struct call c;
  start(&p, NULL, 0);
  struct sockaddr_storage a;
  const socklen_t size = address(&a, 0, p.their_port, 0);
  const int listener = tcp_shim_socket(p.shim, AF_INET, SOCK_STREAM, 0);
  CHECK_EQUAL(tcp_shim_bind(p.shim, listener, (struct sockaddr*)&a, size), 0);
  CHECK_EQUAL(tcp_shim_listen(p.shim, listener, 1), 0);
  begin(&c, &p, listener, call_accept);
  inject(&p, SYN, NULL, 0, mss1000, 4);
  CHECK_EQUAL(tcp_shim_blocked(p.shim), 1);
  p.ack = next(&p, 0).seq + 1;
  inject(&p, ACK, NULL, 0, NULL, 0);
  CHECK_EQUAL(tcp_shim_blocked(p.shim), 0);
  CHECK_TRUE(finish(&c) >= 0);
  tcp_shim_free(p.shim);
}

static void read_waits_for_bytes(void) {
  struct peer p;
  struct call c;
  start(&p, NULL, 0);
  const int fd = accepted(&p);
  begin(&c, &p, fd, call_read);
  tcp_shim_usleep(p.shim, 1000000);
  CHECK_EQUAL(tcp_shim_blocked(p.shim), 1);
  const int64_t at = tcp_shim_now_us(p.shim);
  inject(&p, PSH | ACK, "abc", 3, NULL, 0);
  CHECK_EQUAL(finish(&c), 3);
  CHECK_EQUAL(c.at, at);
  begin(&c, &p, fd, call_read_all);
  inject(&p, PSH | ACK, "12345", 5, NULL, 0);
  CHECK_EQUAL(tcp_shim_blocked(p.shim), 1);
  inject(&p, PSH | ACK, "67890", 5, NULL, 0);
  CHECK_EQUAL(finish(&c), 10);
  CHECK_EQUAL(memcmp(c.bytes, "1234567890", 10), 0);
  begin(&c, &p, fd, call_read);
  inject(&p, RST, NULL, 0, NULL, 0);
  CHECK_EQUAL(finish(&c), -1);
  CHECK_EQUAL(c.error, ECONNRESET);
  tcp_shim_free(p.shim);
}

// A connect that nobody answers returns when its tries are over, while another thread sleeps on.
static void connect_times_out(void) {
  struct peer p;
  struct call c;
  start(&p, "tcp_syn_retries=3", 0);
  const int fd = tcp_shim_socket(p.shim, AF_INET, SOCK_STREAM, 0);
  const int64_t begun = tcp_shim_now_us(p.shim);
  begin(&c, &p, fd, call_connect);
  tcp_shim_usleep(p.shim, 100000000);
  CHECK_EQUAL(finish(&c), -1);
  CHECK_EQUAL(c.error, ETIMEDOUT);
  CHECK_TRUE(c.at >= begun + 15000000 && c.at <= begun + 15010000);  // the sleeper has waited for it to look
  CHECK_EQUAL(tcp_shim_now_us(p.shim), begun + 100000000);
  int syns = 0;
  for (struct segment s; (s = next(&p, 0)).size != SIZE_MAX; ++syns) CHECK_EQUAL(s.flags, SYN);
  CHECK_EQUAL(syns, 4);
  CHECK_TRUE(p.at - begun >= 7000000 && p.at - begun <= 7010000);
  tcp_shim_free(p.shim);
}

static void connect_waits_for_the_answer(void) {
  struct peer p;
  struct call c;
  start(&p, NULL, 0);
  const int fd = tcp_shim_socket(p.shim, AF_INET, SOCK_STREAM, 0);
  begin(&c, &p, fd, call_connect);
  const struct segment s = next(&p, 0);
  CHECK_EQUAL(s.flags, SYN);
  p.port = 80;
  p.their_port = s.source_port;
  p.ack = s.seq + 1;
  inject(&p, SYN | ACK, NULL, 0, mss1000, 4);
  CHECK_EQUAL(finish(&c), 0);
  tcp_shim_free(p.shim);
}

// The window is 65535: the rest of the bytes waits for acknowledgments.
static void write_waits_for_room(void) {
  struct peer p;
  struct call c;
  start(&p, "sndbuf=32768 initial_window=100", 0);
  const int fd = accepted(&p);
  begin(&c, &p, fd, call_write);
  uint32_t acked = 0;
  for (int turn = 0; turn < 200 && acked < 100000; ++turn) {
    const struct segment s = next(&p, 1000000);
    if (s.size == SIZE_MAX) break;
    acked += (uint32_t)s.size;
    p.ack = s.seq + (uint32_t)s.size;
    if (acked < 100000) CHECK_TRUE(tcp_shim_blocked(p.shim) == 1 || acked > 60000);
    inject(&p, ACK, NULL, 0, NULL, 0);
  }
  CHECK_EQUAL(acked, 100000);
  CHECK_EQUAL(finish(&c), 100000);
  tcp_shim_free(p.shim);
}

static void poll_waits_and_gives_up(void) {
  struct peer p;
  struct call c;
  start(&p, NULL, 0);
  const int fd = accepted(&p);
  begin(&c, &p, fd, call_poll);
  tcp_shim_usleep(p.shim, 499000);
  CHECK_EQUAL(tcp_shim_blocked(p.shim), 1);
  tcp_shim_usleep(p.shim, 1000);
  CHECK_EQUAL(finish(&c), 0);
  begin(&c, &p, fd, call_poll);
  inject(&p, PSH | ACK, "x", 1, NULL, 0);
  CHECK_EQUAL(finish(&c), 1);
  CHECK_EQUAL(c.bytes[0], POLLIN);
  tcp_shim_free(p.shim);
}

static void epoll_wait_waits(void) {
  struct peer p;
  struct call c;
  start(&p, NULL, 0);
  const int fd = accepted(&p), epfd = tcp_shim_epoll_create1(p.shim, 0);
  struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data = {.u32 = 7}};
  CHECK_EQUAL(tcp_shim_epoll_ctl(p.shim, epfd, EPOLL_CTL_ADD, fd, &e), 0);
  begin(&c, &p, epfd, call_epoll_wait);
  inject(&p, PSH | ACK, "x", 1, NULL, 0);
  CHECK_EQUAL(finish(&c), 1);
  CHECK_EQUAL(c.bytes[0], 7);
  tcp_shim_free(p.shim);
}

static void close_ends_calls(void) {
  struct peer p;
  struct call c;
  start(&p, NULL, 0);
  const int fd = accepted(&p);
  begin(&c, &p, fd, call_read);
  CHECK_EQUAL(tcp_shim_close(p.shim, fd), 0);
  CHECK_EQUAL(finish(&c), -1);
  CHECK_EQUAL(c.error, EBADF);
  tcp_shim_free(p.shim);
}

// Two that sleep on two sockets are both let look before inject() goes on.
static void several_at_once(void) {
  struct peer p;
  struct call reader, watcher;
  start(&p, NULL, 0);
  const int fd = accepted(&p);
  for (int i = 0; i < 50; ++i) {
    begin(&watcher, &p, fd, call_poll);
    begin(&reader, &p, fd, call_read);
    inject(&p, PSH | ACK, "abc", 3, NULL, 0);
    CHECK_EQUAL(finish(&reader), 3);
    // Whichever looked first: the watcher saw the bytes, or sleeps on until its time is over.
    tcp_shim_usleep(p.shim, 500000);
    finish(&watcher);
    CHECK_TRUE(watcher.result == 0 || watcher.result == 1);
  }
  CHECK_EQUAL(tcp_shim_blocked(p.shim), 0);
  tcp_shim_free(p.shim);
}

int main(void) {
  RUN(accept_waits_for_the_handshake);
  RUN(read_waits_for_bytes);
  RUN(connect_times_out);
  RUN(connect_waits_for_the_answer);
  RUN(write_waits_for_room);
  RUN(poll_waits_and_gives_up);
  RUN(epoll_wait_waits);
  RUN(close_ends_calls);
  RUN(several_at_once);
  return tests_failed != 0;
}
