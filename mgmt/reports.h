// reports.h - what management tells of the running node: status, statistics, services, flows, connections, traces, as
// the tables of control.fbs. Reads what workers publish; asks a worker (Plane::ask) only for its connections.
// Management thread.
#pragma once

#include <flatbuffers/flatbuffers.h>

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "control_generated.h"
#include "mgmt/plane.h"
#include "mgmt/publish.h"

namespace sluice::mgmt {

// The sum over workers of an object's figures, less what stood there when its id got its present name.
struct ObjectFigures {
  std::uint64_t figures[figure_count] = {};
  std::uint64_t latency[LatencyHistogram::buckets] = {};

  std::uint64_t get(Figure figure) const { return figures[static_cast<std::size_t>(figure)]; }
  ObjectFigures operator-(const ObjectFigures& other) const;
};

// Where each object's counters began. Gauges are never subtracted. Written by the policy thread, read by management's:
// the lock is held for one object at a time.
class Baselines {
 public:
  void begin(const Plane& plane, std::span<const ObjectRef> ids);
  ObjectFigures now(const Plane& plane, policy::ObjectKind kind, std::uint32_t id) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<policy::ObjectKind, std::uint32_t>, ObjectFigures> began_;
};

ObjectFigures sum_figures(const Plane& plane, policy::ObjectKind kind, std::uint32_t id);
// A worker's counter, or a gauge computed when it is asked for; summed over all workers.
std::uint64_t sum_counter(const Plane& plane, Counter counter);

// Client and upstream connections of a worker that HTTP holds: those that TCP alone still closes are not among them.
std::uint32_t open_connections(const WorkerSeat& worker);

// What a named object is called, from the running policy.
std::string name_of(const Policy& policy, policy::ObjectKind kind, std::uint32_t id);

struct ReportSources {
  Plane& plane;
  const Publisher& publisher;
  const Baselines& baselines;
  Nanos started;
  bool draining = false;
};

flatbuffers::Offset<fb::StatusReport> report_status(flatbuffers::FlatBufferBuilder& out, const ReportSources& from);
flatbuffers::Offset<fb::StatsReport> report_stats(flatbuffers::FlatBufferBuilder& out, const ReportSources& from,
                                                  const fb::Stats& request);
flatbuffers::Offset<fb::ServicesReport> report_services(flatbuffers::FlatBufferBuilder& out, const ReportSources& from);
flatbuffers::Offset<fb::FlowsReport> report_flows(flatbuffers::FlatBufferBuilder& out, const ReportSources& from,
                                                  const fb::Flows& request);
flatbuffers::Offset<fb::ConnectionsReport> report_connections(flatbuffers::FlatBufferBuilder& out,
                                                              const ReportSources& from,
                                                              const fb::Connections& request);

// Events of the trace, gathered into stories until they are read.
class TraceStories {
 public:
  void collect(Plane& plane);
  void clear();
  flatbuffers::Offset<fb::TraceReport> report(flatbuffers::FlatBufferBuilder& out, Plane& plane);

 private:
  struct Story {
    std::uint16_t worker = 0;
    Nanos began;
    std::vector<std::string> lines;
  };
  static constexpr std::size_t stories_max = 1000, lines_max = 200;
  std::map<std::uint32_t, Story> stories_;
};

}  // namespace sluice::mgmt
