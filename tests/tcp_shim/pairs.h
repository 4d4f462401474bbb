// pairs.h - two connected sockets over loopback, and a list of tests that runs over the kernel and over the shim.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>

#include "tests/support/tcp_shim/checks.h"
#include "tests/tcp_shim/net.h"

struct pair {
  int listener, client, server;
};

static inline struct sockaddr_in loopback4(uint16_t port) {
  return (struct sockaddr_in){
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}
static inline struct sockaddr_in6 loopback6(uint16_t port) {
  return (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
}
static inline struct sockaddr_in name_of(int fd) {
  struct sockaddr_in a;
  socklen_t n = sizeof a;
  CHECK_EQUAL(net_getsockname(fd, &a, &n), 0);
  return a;
}

static inline int listening(int domain, int backlog) {
  const struct sockaddr_in a4 = loopback4(0);
  const struct sockaddr_in6 a6 = loopback6(0);
  const int fd = net_socket(domain, SOCK_STREAM, 0);
  CHECK_EQUAL(domain == AF_INET ? net_bind(fd, &a4, sizeof a4) : net_bind(fd, &a6, sizeof a6), 0);
  CHECK_EQUAL(net_listen(fd, backlog), 0);
  return fd;
}

static inline struct pair connected(int domain) {
  struct pair p;
  p.listener = listening(domain, 5);
  struct sockaddr_storage a;
  socklen_t n = sizeof a;
  CHECK_EQUAL(net_getsockname(p.listener, &a, &n), 0);
  p.client = net_socket(domain, SOCK_STREAM, 0);
  CHECK_EQUAL(net_connect(p.client, &a, n), 0);
  p.server = net_accept(p.listener, NULL, NULL);
  CHECK_TRUE(p.server >= 0);
  return p;
}

static inline void end(struct pair* p) {
  if (p->client >= 0) net_close(p->client);
  if (p->server >= 0) net_close(p->server);
  net_close(p->listener);
}

struct test {
  const char* name;
  void (*run)(void);
};
#define TEST(name) {#name, name}

// Every test over the kernel, then over the shim, each over a fresh one. The exit code of main().
static inline int twice(const struct test* tests) {
  for (const struct test* t = tests; t->name; ++t) {
    for (int shim = 0; shim < 2; ++shim) {
      net = shim ? tcp_shim_new("blocking=advance") : NULL;
      char name[96];
      snprintf(name, sizeof name, "%s_over_%s", t->name, shim ? "shim" : "kernel");
      run_named(name, t->run);
      if (shim) tcp_shim_free(net);
    }
  }
  return tests_failed != 0;
}
