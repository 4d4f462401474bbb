#include "dataplane/base/guard.h"

#ifdef SLUICE_GUARD

#include <dlfcn.h>
#include <execinfo.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace sluice {
namespace {

// Initial-exec: reading it never allocates.
[[gnu::tls_model("initial-exec")]] thread_local bool in_turn = false;
std::atomic<std::uint64_t> pauses{0};

void say(const char* text) { [[maybe_unused]] const auto written = write(STDERR_FILENO, text, std::strlen(text)); }

[[noreturn, gnu::cold, gnu::noinline]] void caught(const char* what) {
  in_turn = false;  // backtrace may allocate
  say("guard: ");
  say(what);
  say(" inside a worker's turn\n");
  void* frames[48];
  backtrace_symbols_fd(frames, backtrace(frames, 48), STDERR_FILENO);
  std::abort();
}

inline void check(const char* what) {
  if (in_turn) [[unlikely]]
    caught(what);
}

// The next definition of a symbol behind ours. dlsym may allocate, so this is asked early (constructor below) or
// outside turns.
template <typename F>
F* next(const char* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

int (*real_mutex_lock)(pthread_mutex_t*) = nullptr;
[[noreturn]] void (*real_throw)(void*, void*, void (*)(void*)) = nullptr;

[[gnu::constructor]] void find_real() {
  real_mutex_lock = next<int(pthread_mutex_t*)>("pthread_mutex_lock");
  real_throw = reinterpret_cast<decltype(real_throw)>(dlsym(RTLD_NEXT, "__cxa_throw"));
}

}  // namespace

TurnGuard::TurnGuard() { in_turn = true; }
TurnGuard::~TurnGuard() { in_turn = false; }

GuardPause::GuardPause() : was_on_(in_turn) {
  if (was_on_) pauses.fetch_add(1, std::memory_order_relaxed);
  in_turn = false;
}
GuardPause::~GuardPause() { in_turn = was_on_; }

std::uint64_t guard_pauses() { return pauses.load(std::memory_order_relaxed); }

}  // namespace sluice

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLUICE_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLUICE_SANITIZED 1
#endif
#endif

extern "C" {

#ifdef SLUICE_SANITIZED

// The sanitizers own malloc and the locks; they tell us about allocations by weak hooks that they call.
void __sanitizer_malloc_hook(const volatile void*, std::size_t) { sluice::check("malloc"); }

#else

void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t size) {
  sluice::check("malloc");
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
  sluice::check("calloc");
  return __libc_calloc(count, size);
}
void* realloc(void* old, std::size_t size) {
  sluice::check("realloc");
  return __libc_realloc(old, size);
}
void* memalign(std::size_t alignment, std::size_t size) {
  sluice::check("memalign");
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  sluice::check("aligned_alloc");
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** out, std::size_t alignment, std::size_t size) {
  sluice::check("posix_memalign");
  *out = __libc_memalign(alignment, size);
  return *out ? 0 : ENOMEM;
}

int pthread_mutex_lock(pthread_mutex_t* mutex) {
  sluice::check("pthread_mutex_lock");
  if (!sluice::real_mutex_lock) sluice::real_mutex_lock = sluice::next<int(pthread_mutex_t*)>("pthread_mutex_lock");
  return sluice::real_mutex_lock(mutex);
}

[[noreturn]] void __cxa_throw(void* object, void* type, void (*destroy)(void*)) {
  sluice::check("throw");
  sluice::real_throw(object, type, destroy);
  __builtin_unreachable();
}

#endif

}  // extern "C"

#endif
