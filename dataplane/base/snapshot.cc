#include "dataplane/base/snapshot.h"

#include <rte_rcu_qsbr.h>
#include <sched.h>

#include <new>

#include "dataplane/base/check.h"

namespace sluice {

// A turn at what is retired. Never taken by a worker.
class Qsbr::Turn {
 public:
  explicit Turn(const Qsbr& qsbr) : busy_(qsbr.busy_) {
    while (busy_.test_and_set(std::memory_order_acquire)) sched_yield();
  }
  ~Turn() { busy_.clear(std::memory_order_release); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  std::atomic_flag& busy_;
};

Qsbr::Qsbr(unsigned workers) {
  CHECK(workers > 0);
  // Not from EAL's memory: a node's snapshots outlive nothing of DPDK's.
  void* memory = ::operator new(rte_rcu_qsbr_get_memsize(workers), std::align_val_t{RTE_CACHE_LINE_SIZE});
  state_ = static_cast<rte_rcu_qsbr*>(memory);
  CHECK(rte_rcu_qsbr_init(state_, workers) == 0);
  for (unsigned worker = 0; worker < workers; ++worker) CHECK(rte_rcu_qsbr_thread_register(state_, worker) == 0);
}

Qsbr::~Qsbr() {
  for (const Retired& retired : retired_) free(retired);
  ::operator delete(state_, std::align_val_t{RTE_CACHE_LINE_SIZE});
}

void Qsbr::online(unsigned worker) { rte_rcu_qsbr_thread_online(state_, worker); }
void Qsbr::offline(unsigned worker) { rte_rcu_qsbr_thread_offline(state_, worker); }
void Qsbr::quiescent(unsigned worker) { rte_rcu_qsbr_quiescent(state_, worker); }

void Qsbr::retire_raw(void* object, void (*destroy)(void*), Alive alive) {
  const Turn turn{*this};
  retired_.push_back({rte_rcu_qsbr_start(state_), object, destroy, std::move(alive)});
}

bool Qsbr::take_passed(Retired& out) {
  const Turn turn{*this};
  if (retired_.empty() || rte_rcu_qsbr_check(state_, retired_.front().token, false) != 1) return false;
  out = std::move(retired_.front());
  retired_.pop_front();
  return true;
}

std::size_t Qsbr::reclaim() {
  // Freed outside the turn: what dies may be large.
  for (Retired retired; take_passed(retired);) free(retired);
  return waiting();
}

std::size_t Qsbr::waiting() const {
  const Turn turn{*this};
  return retired_.size();
}

void Qsbr::free(const Retired& retired) {
  retired.destroy(retired.object);
  if (retired.alive) retired.alive->fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace sluice
