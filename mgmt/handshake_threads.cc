#include "mgmt/handshake_threads.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>

#include <chrono>

namespace sluice::mgmt {

HandshakeThreads::HandshakeThreads(unsigned workers, unsigned helpers, Nanos patience, std::vector<int> cpus,
                                   const Clock& clock)
    : by_worker_(workers), by_helper_(helpers), cpus_(std::move(cpus)), clock_(clock) {
  for (unsigned helper = 0; helper < helpers; ++helper)
    for (unsigned worker = 0; worker < workers; ++worker) {
      all_.push_back(std::make_unique<tls::HandshakeLine>(workers + helper, depth, patience));
      by_worker_[worker].push_back(all_.back().get());
      by_helper_[helper].push_back(all_.back().get());
    }
  for (unsigned helper = 0; helper < helpers; ++helper) threads_.emplace_back([this, helper] { serve(helper); });
}

HandshakeThreads::~HandshakeThreads() { stop(); }

void HandshakeThreads::stop() {
  stop_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void HandshakeThreads::serve(unsigned helper) {
  pthread_setname_np(pthread_self(), fmt::format("sluice-tls{}", helper).c_str());
  if (!cpus_.empty()) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const int cpu : cpus_) CPU_SET(static_cast<unsigned>(cpu), &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);  // refused: it runs where its maker runs, which will do
  }
  while (!stop_.load(std::memory_order_relaxed)) {
    bool served = false;
    for (tls::HandshakeLine* line : by_helper_[helper]) served |= line->serve(clock_.now());
    if (!served) std::this_thread::sleep_for(std::chrono::microseconds{50});
  }
}

}  // namespace sluice::mgmt
