#include "mgmt/jobs.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>

#include "dataplane/base/check.h"

namespace sluice::mgmt {

Jobs::Jobs(std::size_t jobs_max, std::size_t bytes_max, std::function<void()> idle)
    : jobs_max_(jobs_max),
      bytes_max_(bytes_max),
      idle_(std::move(idle)),
      event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_([this] { run(); }) {
  CHECK(event_ >= 0);
  pthread_setname_np(thread_.native_handle(), "sluice-policy");
}

Jobs::~Jobs() {
  {
    const std::lock_guard lock{mutex_};
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
  close(event_);
}

bool Jobs::submit(std::size_t bytes, Job job) {
  {
    const std::lock_guard lock{mutex_};
    if (waiting_.size() >= jobs_max_ || bytes_ + bytes > bytes_max_) return false;
    bytes_ += bytes;
    waiting_.push_back({bytes, std::move(job)});
  }
  wake_.notify_all();
  return true;
}

void Jobs::run() {
  std::unique_lock lock{mutex_};
  for (;;) {
    wake_.wait_for(lock, std::chrono::milliseconds{20}, [&] { return stop_ || !waiting_.empty(); });
    if (stop_) return;
    if (!waiting_.empty()) {
      Waiting next = std::move(waiting_.front());
      lock.unlock();
      Finish finish = next.job();
      next.job = nullptr;
      lock.lock();
      waiting_.pop_front();
      bytes_ -= next.bytes;
      done_.push_back(std::move(finish));
      const std::uint64_t one = 1;
      CHECK(write(event_, &one, sizeof one) == sizeof one);
    }
    lock.unlock();
    idle_();
    lock.lock();
  }
}

void Jobs::finish() {
  std::uint64_t count;
  [[maybe_unused]] const ssize_t n = read(event_, &count, sizeof count);
  std::vector<Finish> done;
  {
    const std::lock_guard lock{mutex_};
    done.swap(done_);
  }
  for (const Finish& each : done)
    if (each) each();
}

}  // namespace sluice::mgmt
