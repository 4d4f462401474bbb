#include "dataplane/base/clock.h"

#include <time.h>

#include "dataplane/base/check.h"

namespace sluice {

Clock::Clock() : Clock(rte_get_tsc_hz()) {}

Clock::Clock(std::uint64_t tsc_hz) : hz_(tsc_hz), start_tsc_(rte_rdtsc()) {
  CHECK(tsc_hz > 0);
  scale_ = static_cast<std::uint64_t>((static_cast<unsigned __int128>(1'000'000'000) << 32) / tsc_hz);
  sync_wall();
}

void Clock::sync_wall() {
  timespec wall;
  clock_gettime(CLOCK_REALTIME, &wall);
  wall_offset_.store(wall.tv_sec * 1'000'000'000 + wall.tv_nsec - now().ns, std::memory_order_relaxed);
}

}  // namespace sluice
