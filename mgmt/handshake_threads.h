// handshake_threads.h - threads that run TLS handshakes for the workers (node.handshake_cores).
// Every pair of worker and helper has a line of its own (one writer, one reader each way), so nobody locks. A helper
// goes round its lines, serves a job from each, and sleeps for a moment when all are empty. Made and ended on the
// management thread: after Libraries, before the first Sessions::accept(); stopped after the workers; the lines live
// until no session is left.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "crypto/tls/handshake.h"
#include "dataplane/base/clock.h"

namespace sluice::mgmt {

class HandshakeThreads {
 public:
  // Helper h uses the index `workers` + h in Libraries. `cpus`: where they may run; empty: anywhere.
  HandshakeThreads(unsigned workers, unsigned helpers, Nanos patience, std::vector<int> cpus, const Clock& clock);
  ~HandshakeThreads();
  HandshakeThreads(const HandshakeThreads&) = delete;
  HandshakeThreads& operator=(const HandshakeThreads&) = delete;

  // For Sessions::use_helpers of this worker; empty without helpers.
  std::span<tls::HandshakeLine* const> lines(unsigned worker) const { return by_worker_[worker]; }
  // Ends the threads; jobs on the lines stay where they are.
  void stop();

 private:
  void serve(unsigned helper);

  static constexpr unsigned depth = 32;  // jobs under way on a line, 48 kB each

  std::vector<std::unique_ptr<tls::HandshakeLine>> all_;
  std::vector<std::vector<tls::HandshakeLine*>> by_worker_, by_helper_;
  const std::vector<int> cpus_;
  const Clock& clock_;
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

}  // namespace sluice::mgmt
