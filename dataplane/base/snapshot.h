// snapshot.h - what is configured reaches the workers by one pointer swap, and dies when nobody can see it any more.
// Published<T>: one const T at a time; management publishes, workers read. Qsbr: quiescent-state reclamation over
// rte_rcu_qsbr: a worker reads as often as it likes within a turn, keeps no pointer beyond it, and reports at its end;
// what was replaced is freed by management once every online worker has reported. No worker waits for anybody. A worker
// that sleeps or blocks goes offline first, and reads nothing until it is online again.
// Management has more than one thread (policies are published by one, trace filters by another): its calls take turns
// over the list of what is retired, by a flag that is held for a few instructions. One Published has one publisher.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>

struct rte_rcu_qsbr;

namespace sluice {

class Qsbr {
 public:
  explicit Qsbr(unsigned workers);
  ~Qsbr();  // no worker runs any more: frees all that is retired
  Qsbr(const Qsbr&) = delete;
  Qsbr& operator=(const Qsbr&) = delete;

  // Worker.
  void online(unsigned worker);
  void offline(unsigned worker);
  void quiescent(unsigned worker);  // "I hold no pointer that I read before"

  // How many objects of a kind exist. Shared, because what is retired may outlive who published it.
  using Alive = std::shared_ptr<std::atomic<std::uint32_t>>;

  // Management, any thread. `alive`, where given, is decremented when the object dies.
  template <typename T>
  void retire(std::unique_ptr<T> object, Alive alive = nullptr) {
    if (object)
      retire_raw(
          const_cast<std::remove_const_t<T>*>(object.release()),
          [](void* gone) { delete static_cast<std::remove_const_t<T>*>(gone); }, std::move(alive));
  }
  // Frees what every worker has passed; returns how many objects still wait. Called now and then.
  std::size_t reclaim();
  std::size_t waiting() const;

 private:
  struct Retired {
    std::uint64_t token;
    void* object;
    void (*destroy)(void*);
    Alive alive;
  };
  class Turn;
  void retire_raw(void* object, void (*destroy)(void*), Alive alive);
  bool take_passed(Retired& out);
  static void free(const Retired& retired);

  rte_rcu_qsbr* state_;
  mutable std::atomic_flag busy_;
  std::deque<Retired> retired_;  // oldest first
};

template <typename T>
class Published {
 public:
  explicit Published(std::unique_ptr<const T> first = nullptr)
      : alive_(std::make_shared<std::atomic<std::uint32_t>>(first ? 1 : 0)), current_(first.release()) {}
  // No worker reads any more.
  ~Published() { delete current_.load(std::memory_order_relaxed); }
  Published(const Published&) = delete;
  Published& operator=(const Published&) = delete;

  // Worker: what is published now, valid until the end of the turn. nullptr before the first.
  const T* read() const { return current_.load(std::memory_order_acquire); }
  // Management: the new one is what every later read() sees; the old one is retired.
  void publish(std::unique_ptr<const T> next, Qsbr& qsbr) {
    if (next) alive_->fetch_add(1, std::memory_order_relaxed);
    qsbr.retire(std::unique_ptr<const T>{current_.exchange(next.release(), std::memory_order_acq_rel)}, alive_);
  }
  // How many exist: the one that is published and those that still wait to be freed.
  std::uint32_t alive() const { return alive_->load(std::memory_order_relaxed); }

 private:
  const Qsbr::Alive alive_;
  alignas(64) std::atomic<const T*> current_;
};

}  // namespace sluice
