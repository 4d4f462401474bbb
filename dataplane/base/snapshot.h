// snapshot.h - what is configured reaches the workers by one pointer swap, and dies when nobody can see it any more.
// Published<T>: one const T at a time; management publishes, workers read. Qsbr: quiescent-state reclamation over
// rte_rcu_qsbr: a worker reads as often as it likes within a turn, keeps no pointer beyond it, and reports at its end;
// what was replaced is freed by management once every online worker has reported. Nobody waits for anybody. A worker
// that sleeps or blocks goes offline first, and reads nothing until it is online again.
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

  // Management. `alive`, where given, is decremented when the object dies.
  template <typename T>
  void retire(std::unique_ptr<T> object, std::atomic<std::uint32_t>* alive = nullptr) {
    if (object)
      retire_raw(
          const_cast<std::remove_const_t<T>*>(object.release()),
          [](void* gone) { delete static_cast<std::remove_const_t<T>*>(gone); }, alive);
  }
  // Frees what every worker has passed; returns how many objects still wait. Called now and then.
  std::size_t reclaim();
  std::size_t waiting() const { return retired_.size(); }

 private:
  struct Retired {
    std::uint64_t token;
    void* object;
    void (*destroy)(void*);
    std::atomic<std::uint32_t>* alive;
  };
  void retire_raw(void* object, void (*destroy)(void*), std::atomic<std::uint32_t>* alive);
  static void free(const Retired& retired);

  rte_rcu_qsbr* state_;
  std::deque<Retired> retired_;
};

template <typename T>
class Published {
 public:
  explicit Published(std::unique_ptr<const T> first = nullptr) : alive_(first ? 1 : 0), current_(first.release()) {}
  // After the Qsbr that it published through is gone or has nothing waiting.
  ~Published() { delete current_.load(std::memory_order_relaxed); }
  Published(const Published&) = delete;
  Published& operator=(const Published&) = delete;

  // Worker: what is published now, valid until the end of the turn. nullptr before the first.
  const T* read() const { return current_.load(std::memory_order_acquire); }
  // Management: the new one is what every later read() sees; the old one is retired.
  void publish(std::unique_ptr<const T> next, Qsbr& qsbr) {
    if (next) alive_.fetch_add(1, std::memory_order_relaxed);
    qsbr.retire(std::unique_ptr<const T>{current_.exchange(next.release(), std::memory_order_acq_rel)}, &alive_);
  }
  // How many exist: the one that is published and those that still wait to be freed.
  std::uint32_t alive() const { return alive_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint32_t> alive_;
  alignas(64) std::atomic<const T*> current_;
};

}  // namespace sluice
