#include "dataplane/base/guard.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <memory>

namespace sluice {
namespace {

// Keeps the compiler from removing an allocation that nobody looks at.
void allocate() {
  auto value = std::make_unique<int>(1);
  asm volatile("" : : "r"(value.get()) : "memory");
}

TEST(Guard, OutsideATurnEverythingIsAllowed) {
  allocate();
  {
    const TurnGuard turn;
    int on_stack = 1;
    asm volatile("" : : "r"(&on_stack) : "memory");
  }
  allocate();
}

TEST(Guard, AllocationInATurnAbortsAGuardedBuild) {
  if constexpr (guarded_build) {
    EXPECT_DEATH(
        {
          const TurnGuard turn;
          allocate();
        },
        "guard: malloc inside a worker's turn");
  }
  const TurnGuard turn;
  const std::uint64_t before = guard_pauses();
  {
    const GuardPause pause;
    allocate();
  }
  EXPECT_EQ(guard_pauses(), before + (guarded_build ? 1 : 0));
}

#if defined(SLUICE_GUARD) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(Guard, LockAndFreshPauseInATurn) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  EXPECT_DEATH(
      {
        const TurnGuard turn;
        pthread_mutex_lock(&mutex);
      },
      "guard: pthread_mutex_lock inside a worker's turn");
  EXPECT_DEATH(
      {
        const TurnGuard turn;
        { const GuardPause pause; }
        allocate();
      },
      "guard: malloc inside a worker's turn");
}
#endif

}  // namespace
}  // namespace sluice
