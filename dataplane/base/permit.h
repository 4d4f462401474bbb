// permit.h - limits of the node (connections, requests, retries, ...) that hold exactly over all workers.
// A cell is (stable id, kind). Its permits are either free (shared), idle at a worker (leased, not used) or in use;
// their sum is the limit, always. A worker takes from its own idle ones, else leases a block of the free ones (a share
// of what is free, down to 1 near the limit), else recalls idle ones from other workers. So nothing is admitted above
// the limit, and nothing is refused while a permit lies idle anywhere (one that moves at that very moment may be
// missed). Lock-free; the common case touches only the worker's own line. A limit may change while running: a lower one
// refuses from that moment, and what is in use above it is let run out. Memory is taken once: 16 bytes a cell and 4
// bytes a cell and worker.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>

#include "dataplane/base/check.h"

namespace sluice {

class Permit {
 public:
  static constexpr std::uint32_t unlimited = std::numeric_limits<std::int32_t>::max();

  // Cells for ids 0 .. ids - 1 and kinds 0 .. kinds - 1, unlimited at first; workers 0 .. workers - 1.
  Permit(std::uint32_t ids, std::uint32_t kinds, unsigned workers);

  // Management thread.
  void set_limit(std::uint32_t id, std::uint32_t kind, std::uint32_t limit);
  std::uint32_t limit(std::uint32_t id, std::uint32_t kind) const;
  // Anyone: how many are in use. Exact while nobody acquires or releases, else a moment's view.
  std::uint32_t in_use(std::uint32_t id, std::uint32_t kind) const;

  // Worker. What acquire gave is released once, by any worker.
  bool acquire(unsigned worker, std::uint32_t id, std::uint32_t kind);
  void release(unsigned worker, std::uint32_t id, std::uint32_t kind);

 private:
  static constexpr std::int64_t block_max = 32;
  struct Cell {
    std::atomic<std::int64_t> free{unlimited};  // below zero while more are in use than a lowered limit allows
    std::atomic<std::uint32_t> limit{unlimited};
  };
  using Idle = std::atomic<std::uint32_t>;

  std::uint32_t index(std::uint32_t id, std::uint32_t kind) const {
    CHECK(id < ids_ && kind < kinds_);
    return id * kinds_ + kind;
  }
  Idle& idle(unsigned worker, std::uint32_t cell) const { return idle_[worker * stride_ + cell]; }
  static bool take_idle(Idle& idle);
  std::int64_t lease(Cell& cell);  // how many were leased, 0 when none is free
  bool recall(unsigned worker, std::uint32_t cell);

  std::uint32_t ids_, kinds_;
  unsigned workers_;
  std::size_t stride_;  // cells of one worker, whole cache lines
  std::unique_ptr<Cell[]> cells_;
  std::unique_ptr<Idle[]> idle_;
};

}  // namespace sluice
