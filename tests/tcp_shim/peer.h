// peer.h - a peer made of raw packets: 192.0.2.1 or 2001:db8::1, port 40000, first sequence number 1000, against the
// endpoint's default address, port 8080.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>

#include "tests/support/tcp_shim/checks.h"
#include "tests/support/tcp_shim/segments.h"
#include "tests/support/tcp_shim/tcp_shim.h"

struct peer {
  tcp_shim* shim;
  int v6;
  uint16_t port, their_port;
  uint32_t seq, ack;
  uint8_t buffer[70000];
  int64_t at;  // when the last packet of theirs left
};

static const uint8_t peer4[4] = {192, 0, 2, 1}, shim4[4] = {192, 168, 0, 1};
static const uint8_t peer6[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
static const uint8_t shim6[16] = {0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

static inline void start(struct peer* p, const char* options, int v6) {
  memset(p, 0, sizeof *p);
  p->shim = tcp_shim_new(options);
  p->v6 = v6;
  p->port = 40000;
  p->their_port = 8080;
  p->seq = 1000;
  if (!CHECK_TRUE(p->shim)) exit(1);
}

static inline void inject(struct peer* p, uint8_t flags, const void* payload, size_t size, const void* options,
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
static inline struct segment next(struct peer* p, int64_t wait_us) {
  struct segment s = {.size = SIZE_MAX};
  const ssize_t n = tcp_shim_await(p->shim, p->buffer, sizeof p->buffer, &p->at, wait_us);
  if (n <= 0) return s;
  if (!CHECK_TRUE(segment_read(p->buffer, (size_t)n, &s))) exit(1);
  return s;
}
// The same without what only acknowledges: when that leaves is a matter of delayed and of quick ACKs.
static inline struct segment next_but_acks(struct peer* p, int64_t wait_us) {
  struct segment s = next(p, wait_us);
  while (s.size == 0 && s.flags == ACK) s = next(p, wait_us);
  return s;
}
static inline void nothing(struct peer* p, int64_t wait_us) { CHECK_EQUAL(next(p, wait_us).size, SIZE_MAX); }

static inline socklen_t address(struct sockaddr_storage* out, int v6, uint16_t port, int of_peer) {
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
static inline int accepted(struct peer* p) {
  struct sockaddr_storage a;
  const socklen_t size = address(&a, p->v6, p->their_port, 0);
  const int listener = tcp_shim_socket(p->shim, p->v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  CHECK_TRUE(listener >= 0);
  CHECK_EQUAL(tcp_shim_bind(p->shim, listener, (struct sockaddr*)&a, size), 0);
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
  const int fd = tcp_shim_accept(p->shim, listener, (struct sockaddr*)&from, &from_size);
  CHECK_TRUE(fd >= 0);
  CHECK_EQUAL(from_size, size);
  CHECK_EQUAL(ntohs(((struct sockaddr_in*)&from)->sin_port), p->port);
  CHECK_EQUAL(tcp_shim_close(p->shim, listener), 0);
  return fd;
}
