// checks.h - how the C test programs of tcp_shim report: a line "ok NAME" or "not ok NAME # why" for each test, as
// tests/README.md wants it. A test is a function; its checks say where they failed.
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int checks_failed, checks_done, tests_failed;
static char checks_first[256];

static inline int check_report(int good, const char* file, int line, const char* text) {
  ++checks_done;
  if (good) return 1;
  if (checks_failed++ == 0)
    snprintf(checks_first, sizeof checks_first, "%s:%d: %s (errno %d)", file, line, text, errno);
  fprintf(stderr, "%s:%d: %s (errno %d: %s)\n", file, line, text, errno, strerror(errno));
  return 0;
}

static inline int check_equal(long long got, long long wanted, const char* file, int line, const char* text) {
  if (got != wanted) fprintf(stderr, "  got %lld, wanted %lld\n", got, wanted);
  return check_report(got == wanted, file, line, text);
}

#define CHECK_TRUE(condition) check_report((condition) != 0, __FILE__, __LINE__, #condition)
#define CHECK_EQUAL(got, wanted)                                                                                       \
  check_equal((long long)(got), (long long)(wanted), __FILE__, __LINE__, #got " == " #wanted)
// The call fails with that errno.
#define CHECK_FAILS(call, number)                                                                                      \
  (errno = 0, CHECK_EQUAL((call), -1) && check_equal(errno, (number), __FILE__, __LINE__, #call " gives " #number))

static inline void run_named(const char* name, void (*test)(void)) {
  checks_failed = checks_done = 0;
  test();
  if (checks_failed || !checks_done) {
    printf("not ok %s # %s\n", name, checks_failed ? checks_first : "no checks");
    ++tests_failed;
  } else {
    printf("ok %s\n", name);
  }
  fflush(stdout);
}
#define RUN(test) run_named(#test, test)
