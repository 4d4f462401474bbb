// jobs.h - a thread that does one thing after the other, so that what takes seconds holds up nobody but its like.
// Jobs run in the order in which they were taken; what they return is run by whoever calls finish(), in the same order.
// Bounded by number and by the bytes that jobs carry.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace sluice::mgmt {

class Jobs {
 public:
  using Finish = std::function<void()>;
  using Job = std::function<Finish()>;

  // `idle` runs on the thread between jobs, and every 20 ms when there are none.
  Jobs(std::size_t jobs_max, std::size_t bytes_max, std::function<void()> idle);
  // Jobs that have not begun are dropped.
  ~Jobs();
  Jobs(const Jobs&) = delete;
  Jobs& operator=(const Jobs&) = delete;

  // False when too much is waiting.
  bool submit(std::size_t bytes, Job job);
  // Readable when there is something to finish.
  int fd() const { return event_; }
  void finish();

 private:
  struct Waiting {
    std::size_t bytes;
    Job job;
  };
  void run();

  const std::size_t jobs_max_, bytes_max_;
  const std::function<void()> idle_;
  int event_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Waiting> waiting_;  // the front one is running when running_
  std::vector<Finish> done_;
  std::size_t bytes_ = 0;
  bool stop_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace sluice::mgmt

// Tested in tests/unit/mgmt/server_test.cc.
