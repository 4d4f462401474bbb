// check.h - what must be true, and dies when it is not.
// CHECK stays in release builds and is for our own bugs only: a peer's fault is an enum, an operator's fault is a
// message. DCHECK is for hot loops and is compiled out unless the build is a debug, sanitizer or guard build.
#pragma once

namespace sluice {

// Prints "file:line: CHECK failed: text" to stderr and aborts. Never returns, never allocates.
[[noreturn, gnu::cold, gnu::noinline]] void check_failed(const char* file, int line, const char* text) noexcept;

}  // namespace sluice

#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) [[unlikely]]                                                                                     \
      ::sluice::check_failed(__FILE__, __LINE__, #condition);                                                          \
  } while (false)

#if defined(SLUICE_GUARD) || !defined(__OPTIMIZE__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DCHECK(condition) CHECK(condition)
#else
#define DCHECK(condition)                                                                                              \
  do {                                                                                                                 \
    if (false) (void)(condition);                                                                                      \
  } while (false)
#endif
