#include "l7/stats.h"

#include <sys/mman.h>

namespace sluice {

Stats::Stats(const policy::ObjectLimits& limits) : limits_(limits) {
  for (std::size_t kind = 0; kind < policy::object_kinds; ++kind)
    bytes_ += limits.of(static_cast<policy::ObjectKind>(kind)) * sizeof(ObjectStats);
  if (bytes_ == 0) return;
  // Zero pages from the kernel are valid cells: an atomic word of zero. Pages are resident only once written.
  memory_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(memory_ != MAP_FAILED);
  auto* next = static_cast<ObjectStats*>(memory_);
  for (std::size_t kind = 0; kind < policy::object_kinds; ++kind) {
    first_[kind] = next;
    next += limits.of(static_cast<policy::ObjectKind>(kind));
  }
}

Stats::~Stats() {
  if (memory_) munmap(memory_, bytes_);
}

}  // namespace sluice
