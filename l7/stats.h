// stats.h - what happens to each named object, counted by its stable id.
// One Stats a worker, sized at start, one writer, lock-free readers (relaxed cells, no read-modify-write). Cells never
// go back to zero: when an index gets a new owner, management subtracts what stood there (mgmt/registry). Memory that
// no object uses is never touched, so a generous limit costs address space only.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>

#include "dataplane/base/check.h"
#include "dataplane/base/units.h"
#include "l7/policy.h"

namespace sluice {

// Latency in microseconds, 8 buckets an octave (at most 12.5 % wide), 0 to 134 s; what is longer counts in the last.
class LatencyHistogram {
 public:
  static constexpr std::size_t buckets = 200;

  static constexpr std::size_t bucket_of(Nanos latency) {
    const std::uint64_t us = latency.ns <= 0 ? 0 : static_cast<std::uint64_t>(latency.micros());
    if (us < 8) return us;
    const unsigned shift = std::bit_width(us) - 4;
    const std::size_t bucket = 8 * shift + (us >> shift);
    return bucket < buckets ? bucket : buckets - 1;
  }
  // The largest whole number of microseconds that falls into the bucket.
  static constexpr std::uint64_t upper_us(std::size_t bucket) {
    if (bucket < 16) return bucket;
    const unsigned shift = static_cast<unsigned>(bucket / 8 - 1);
    return ((8 + bucket % 8 + 1) << shift) - 1;
  }
};

// What is counted for an object. Not every kind uses every figure.
enum class Figure : std::uint8_t {
  requests,
  responses_1xx,
  responses_2xx,
  responses_3xx,
  responses_4xx,
  responses_5xx,
  bytes_in,            // from the client's side
  bytes_out,           // towards the client's side
  active_requests,     // gauge
  connections,         // L4: flows
  active_connections,  // gauge
  failures,            // connect failures, resets and timeouts of endpoints; requests answered by ourselves with 5xx
  latency_us_sum,
  count_
};
inline constexpr std::size_t figure_count = static_cast<std::size_t>(Figure::count_);

// The cells of one object on one worker.
class alignas(64) ObjectStats {
 public:
  void add(Figure figure, std::uint64_t n = 1) { bump(figures_[static_cast<std::size_t>(figure)], n); }
  void sub(Figure figure, std::uint64_t n = 1) { add(figure, ~n + 1); }
  // Counts an answer by its status, 100 to 599.
  void response(unsigned status) {
    const unsigned group = status / 100;
    if (group >= 1 && group <= 5) add(static_cast<Figure>(static_cast<unsigned>(Figure::responses_1xx) + group - 1));
  }
  void latency(Nanos latency) {
    bump(latency_[LatencyHistogram::bucket_of(latency)], 1);
    add(Figure::latency_us_sum, latency.ns <= 0 ? 0 : static_cast<std::uint64_t>(latency.micros()));
  }

  std::uint64_t get(Figure figure) const {
    return figures_[static_cast<std::size_t>(figure)].load(std::memory_order_relaxed);
  }
  std::uint64_t latency_count(std::size_t bucket) const { return latency_[bucket].load(std::memory_order_relaxed); }

 private:
  using Cell = std::atomic<std::uint64_t>;
  static void bump(Cell& cell, std::uint64_t n) {
    cell.store(cell.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  Cell figures_[figure_count];
  Cell latency_[LatencyHistogram::buckets];
};

// All objects on one worker.
class Stats {
 public:
  explicit Stats(const policy::ObjectLimits& limits);
  ~Stats();
  Stats(const Stats&) = delete;
  Stats& operator=(const Stats&) = delete;

  ObjectStats& listener(policy::ListenerId id) { return cell(policy::ObjectKind::listener, id); }
  ObjectStats& cluster(policy::ClusterId id) { return cell(policy::ObjectKind::cluster, id); }
  ObjectStats& endpoint(policy::EndpointId id) { return cell(policy::ObjectKind::endpoint, id); }
  ObjectStats& service(policy::ServiceId id) { return cell(policy::ObjectKind::service, id); }
  // nullptr for a route without a name, whose id is policy::no_id.
  ObjectStats* route(policy::RouteId id) {
    return id == policy::no_id ? nullptr : &cell(policy::ObjectKind::route, id);
  }

  const ObjectStats& at(policy::ObjectKind kind, std::uint32_t index) const {
    return const_cast<Stats*>(this)->cell(kind, index);
  }

 private:
  ObjectStats& cell(policy::ObjectKind kind, std::uint32_t index) {
    DCHECK(index < limits_.of(kind));
    return first_[static_cast<std::size_t>(kind)][index];
  }

  policy::ObjectLimits limits_;
  std::size_t bytes_ = 0;
  void* memory_ = nullptr;
  ObjectStats* first_[policy::object_kinds] = {};
};

}  // namespace sluice
