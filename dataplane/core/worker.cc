#include "dataplane/core/worker.h"

#include <pthread.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace sluice {

std::expected<std::unique_ptr<WorkerThread>, std::string> WorkerThread::start(const std::string& name, int cpu,
                                                                              std::function<void()> body) {
  std::unique_ptr<WorkerThread> thread{new WorkerThread};
  thread->body_ = std::move(body);
  thread->name_ = name;
  thread->cpu_ = cpu;
  if (const int error = pthread_create(&thread->thread_, nullptr, run, thread.get())) {
    thread->tid_ = -1;
    thread->thread_ = {};
    return std::unexpected(name + ": the thread does not start: " + strerror(error));
  }
  thread->tid_.wait(0);
  if (thread->tid_ == -1) return std::unexpected(name + ": " + thread->error_);
  return thread;
}

WorkerThread::~WorkerThread() {
  if (thread_) pthread_join(thread_, nullptr);
}

void* WorkerThread::run(void* self) {
  auto& thread = *static_cast<WorkerThread*>(self);
  const auto fail = [&](std::string error) {
    thread.error_ = std::move(error);
    thread.tid_ = -1;
    thread.tid_.notify_all();
    return nullptr;
  };
  pthread_setname_np(pthread_self(), thread.name_.substr(0, 15).c_str());
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (thread.cpu_ >= 0) {
    if (thread.cpu_ >= CPU_SETSIZE) return fail("there is no CPU " + std::to_string(thread.cpu_));
    CPU_SET(thread.cpu_, &cpus);
  } else {
    for (long cpu = 0; cpu < sysconf(_SC_NPROCESSORS_CONF) && cpu < CPU_SETSIZE; ++cpu) CPU_SET(cpu, &cpus);
  }
  // Before registering: DPDK reads the affinity then.
  if (pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus) != 0 && thread.cpu_ >= 0)
    return fail("cannot run on CPU " + std::to_string(thread.cpu_));
  if (rte_thread_register() < 0)
    return fail(std::string("DPDK does not register the thread: ") + rte_strerror(rte_errno));
  thread.tid_ = static_cast<int>(syscall(SYS_gettid));
  thread.tid_.notify_all();
  thread.body_();
  rte_thread_unregister();
  return nullptr;
}

}  // namespace sluice
