// guard.h - proof that a worker's turn does not allocate, lock or throw: test builds (-Dguard=true) abort when it does.
// TurnGuard marks a turn; GuardPause suspends it around what may (OpenSSL's handshakes), and counts. In a guarded build
// guard.cc replaces malloc and its kin, pthread_mutex_lock and __cxa_throw (under AddressSanitizer: operator new,
// through its malloc hook); the message names the call and prints a backtrace. In other builds all of this is nothing.
// The link must pull in the replacements: the object is referred to by TurnGuard.
#pragma once

#include <cstdint>

namespace sluice {

#ifdef SLUICE_GUARD

class TurnGuard {
 public:
  TurnGuard();
  ~TurnGuard();
  TurnGuard(const TurnGuard&) = delete;
  TurnGuard& operator=(const TurnGuard&) = delete;
};

class GuardPause {
 public:
  GuardPause();
  ~GuardPause();
  GuardPause(const GuardPause&) = delete;
  GuardPause& operator=(const GuardPause&) = delete;

 private:
  bool was_on_;
};

// Pauses within turns since the start of the process, over all threads.
std::uint64_t guard_pauses();
inline constexpr bool guarded_build = true;

#else

// Members that do nothing keep -Wunused quiet at the places of use.
struct TurnGuard {
  TurnGuard() {}
  ~TurnGuard() {}
};
struct GuardPause {
  GuardPause() {}
  ~GuardPause() {}
};
inline std::uint64_t guard_pauses() { return 0; }
inline constexpr bool guarded_build = false;

#endif

}  // namespace sluice
