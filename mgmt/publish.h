// publish.h - the owner of what runs: takes policies and deltas, publishes them, keeps them on disk, frees the old
// ones. Each request is judged whole: published everywhere at one instant, or refused with every fault and no trace.
// Generations count up by one. The order of calls is the order of publication. Thread: one at a time calls the verbs
// (the policy thread, mgmt/server starts it); status() and current() are for anyone. Workers read published() and
// report to the Qsbr; nothing here waits for them.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "dataplane/base/snapshot.h"
#include "mgmt/compile.h"
#include "mgmt/decode.h"
#include "mgmt/diff.h"
#include "mgmt/registry.h"
#include "mgmt/store.h"

namespace sluice::mgmt {

// What the publisher must know of run-time state, and run-time state of it.
class RunTime {
 public:
  virtual ~RunTime() = default;
  // Ids that are about to be published under a new name. Their counters start from what they are now.
  virtual void assigned(std::span<const ObjectRef> ids) = 0;
  // This policy is about to be published: limits of the node that count from its first request.
  virtual void publishing(const Policy& next) = 0;
  // Nothing below mgmt/ belongs to the object any more: no request, connection or flow. Asked after its name has left
  // and every worker has seen that.
  virtual bool is_idle(const ObjectRef& id) = 0;
};

struct ApplyResult {
  enum class Kind : std::uint8_t { applied, refused, other_generation };
  Kind kind = Kind::refused;
  std::uint64_t generation = 0;  // that runs after the call
  std::vector<Action> changes;
  Faults faults;
  Faults warnings;
  std::uint32_t took_ms = 0;
};

class Publisher {
 public:
  struct Status {
    std::uint64_t generation = 0;
    std::uint64_t applied_unix_ms = 0;
    std::uint32_t snapshots_alive = 0;
    std::string store_error;  // empty: what runs is on disk
    std::size_t listeners = 0, routes = 0, clusters = 0, endpoints = 0, services = 0;
  };

  // `store` may be nullptr: nothing is kept. All references outlive the publisher.
  Publisher(Means means, const DecodeLimits& limits, Qsbr& qsbr, RunTime& run_time, Store* store);
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  // At start: what the store has. An error stops nothing: the node runs without a policy. Its warnings are appended.
  std::expected<void, Faults> restore(std::vector<std::string>& warnings);

  ApplyResult apply(ByteView policy, std::uint64_t if_generation = 0);
  ApplyResult dry_run(ByteView policy);
  ApplyResult apply(const spec::EndpointDelta& delta, std::uint64_t if_generation = 0);
  // The running policy as a Policy buffer without private keys.
  std::vector<std::uint8_t> copy() const;
  // Frees what workers have let go of, then ids whose state is gone. Now and then, between other calls.
  void housekeep();

  Status status() const;
  // The running policy, for reports: hold it briefly.
  Policy current() const;
  // Names of the routes that have one, from the running policy.
  std::string route_name(std::uint32_t id) const;
  void each_route(const std::function<void(std::uint32_t id, const std::string& name)>& f) const;
  const Published<Policy>& published() const { return published_; }
  const DecodeLimits& limits() const { return limits_; }

 private:
  enum class Mode : std::uint8_t { publish, judge };
  ApplyResult take(spec::Policy wanted, Mode mode, bool keep, std::uint64_t generation);
  ApplyResult refuse(Faults faults, Faults warnings = {}) const;
  ApplyResult other_generation(std::uint64_t wanted) const;
  bool assign_ids(const spec::Policy& wanted, const std::vector<Action>& changes, Faults& faults);
  void give(policy::ObjectKind kind, std::string_view name, std::string path, Faults& faults);
  IdOf ids() const;
  void publish(std::unique_ptr<const Policy> next);
  template <typename Save>
  void keep(Save&& save, Faults& warnings);
  void update_status();

  const Means means_;
  const DecodeLimits limits_;
  Qsbr& qsbr_;
  RunTime& run_time_;
  Store* const store_;
  Registry registry_;
  Compiled running_;
  Published<Policy> published_;

  mutable std::mutex mutex_;  // of the two below, for readers on other threads
  Status status_;
  Policy current_;
  std::map<std::uint32_t, std::string> route_names_;
};

}  // namespace sluice::mgmt
