#include "dataplane/base/permit.h"

#include <algorithm>

namespace sluice {

Permit::Permit(std::uint32_t ids, std::uint32_t kinds, unsigned workers)
    : ids_(ids),
      kinds_(kinds),
      workers_(workers),
      stride_((std::size_t{ids} * kinds + 15) / 16 * 16 + 16),
      cells_(std::make_unique<Cell[]>(std::size_t{ids} * kinds)),
      idle_(std::make_unique<Idle[]>(stride_ * workers)) {}

void Permit::set_limit(std::uint32_t id, std::uint32_t kind, std::uint32_t limit) {
  const std::uint32_t at = index(id, kind);
  Cell& cell = cells_[at];
  limit = std::min(limit, unlimited);
  const std::uint32_t before = cell.limit.exchange(limit);
  if (cell.free.fetch_add(std::int64_t{limit} - before) + limit - before >= 0) return;
  // In debt: idle leases pay first.
  for (unsigned worker = 0; worker < workers_; ++worker) cell.free.fetch_add(idle(worker, at).exchange(0));
}

std::uint32_t Permit::limit(std::uint32_t id, std::uint32_t kind) const { return cells_[index(id, kind)].limit.load(); }

std::uint32_t Permit::in_use(std::uint32_t id, std::uint32_t kind) const {
  const std::uint32_t at = index(id, kind);
  std::int64_t used = std::int64_t{cells_[at].limit.load()} - cells_[at].free.load();
  for (unsigned worker = 0; worker < workers_; ++worker) used -= idle(worker, at).load();
  return static_cast<std::uint32_t>(std::max<std::int64_t>(used, 0));
}

bool Permit::take_idle(Idle& idle) {
  std::uint32_t there = idle.load();
  while (there)
    if (idle.compare_exchange_weak(there, there - 1)) return true;
  return false;
}

std::int64_t Permit::lease(Cell& cell) {
  std::int64_t free = cell.free.load();
  while (free > 0) {
    // A block of a worker must leave enough for the others: 1 once fewer than 4 blocks a worker are left.
    const std::int64_t block = std::clamp<std::int64_t>(free / (4 * static_cast<std::int64_t>(workers_)), 1, block_max);
    if (cell.free.compare_exchange_weak(free, free - block)) return block;
  }
  return 0;
}

bool Permit::recall(unsigned worker, std::uint32_t cell) {
  for (unsigned i = 1; i < workers_; ++i)
    if (take_idle(idle((worker + i) % workers_, cell))) return true;
  return false;
}

bool Permit::acquire(unsigned worker, std::uint32_t id, std::uint32_t kind) {
  const std::uint32_t at = index(id, kind);
  Cell& cell = cells_[at];
  if (!take_idle(idle(worker, at))) {
    const std::int64_t leased = lease(cell);
    if (leased > 1) idle(worker, at).fetch_add(static_cast<std::uint32_t>(leased - 1));
    if (leased == 0 && !recall(worker, at)) return false;
  }
  if (cell.free.load() >= 0) [[likely]]
    return true;
  cell.free.fetch_add(1);  // the limit was lowered: what we hold pays the debt
  return false;
}

void Permit::release(unsigned worker, std::uint32_t id, std::uint32_t kind) {
  const std::uint32_t at = index(id, kind);
  Cell& cell = cells_[at];
  // Near the limit, and in debt, a permit goes back to all; else it stays for the next request of this worker.
  const bool near_limit = cell.free.load() < 4 * static_cast<std::int64_t>(workers_) * 2;
  if (near_limit || idle(worker, at).load() >= block_max) cell.free.fetch_add(1);
  else idle(worker, at).fetch_add(1);
}

}  // namespace sluice
