#include "dataplane/base/snapshot.h"

#include <rte_rcu_qsbr.h>

#include <new>

#include "dataplane/base/check.h"

namespace sluice {

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

void Qsbr::retire_raw(void* object, void (*destroy)(void*), std::atomic<std::uint32_t>* alive) {
  retired_.push_back({rte_rcu_qsbr_start(state_), object, destroy, alive});
}

std::size_t Qsbr::reclaim() {
  while (!retired_.empty() && rte_rcu_qsbr_check(state_, retired_.front().token, false) == 1) {
    const Retired retired = retired_.front();
    retired_.pop_front();
    free(retired);
  }
  return retired_.size();
}

void Qsbr::free(const Retired& retired) {
  retired.destroy(retired.object);
  if (retired.alive) retired.alive->fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace sluice
