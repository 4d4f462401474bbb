#include "mgmt/reports.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "mgmt/version.h"

namespace sluice::mgmt {

namespace {

using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;
using policy::ObjectKind;

constexpr bool is_gauge(Figure figure) {
  return figure == Figure::active_requests || figure == Figure::active_connections;
}

std::string text_of(const Endpoint& endpoint) { return std::string{to_text(endpoint).view()}; }

const policy::Endpoint* find_endpoint(const Policy& policy, std::uint32_t id,
                                      const policy::EndpointGroup** group = nullptr) {
  for (const auto& candidate : policy.endpoints->groups) {
    if (!candidate) continue;
    for (const policy::Endpoint& endpoint : candidate->endpoints) {
      if (endpoint.id != id) continue;
      if (group) *group = candidate.get();
      return &endpoint;
    }
  }
  return nullptr;
}

}  // namespace

ObjectFigures ObjectFigures::operator-(const ObjectFigures& other) const {
  ObjectFigures result = *this;
  for (std::size_t i = 0; i < figure_count; ++i)
    if (!is_gauge(static_cast<Figure>(i))) result.figures[i] -= other.figures[i];
  for (std::size_t i = 0; i < LatencyHistogram::buckets; ++i) result.latency[i] -= other.latency[i];
  return result;
}

ObjectFigures sum_figures(const Plane& plane, ObjectKind kind, std::uint32_t id) {
  ObjectFigures sum;
  for (const auto& worker : plane.workers()) {
    const ObjectStats& stats = worker->stats->at(kind, id);
    for (std::size_t i = 0; i < figure_count; ++i) sum.figures[i] += stats.get(static_cast<Figure>(i));
    for (std::size_t i = 0; i < LatencyHistogram::buckets; ++i) sum.latency[i] += stats.latency_count(i);
    // L4 services are counted by the forwarder, in a block of their own.
    const bool l4 = kind == ObjectKind::service || kind == ObjectKind::endpoint;
    if (!l4) continue;
    const L4Stats::Block& block = kind == ObjectKind::service ? std::as_const(*worker->l4_stats).service(id)
                                                              : std::as_const(*worker->l4_stats).endpoint(id);
    sum.figures[static_cast<std::size_t>(Figure::bytes_in)] += block.bytes_in.get();
    sum.figures[static_cast<std::size_t>(Figure::bytes_out)] += block.bytes_out.get();
    sum.figures[static_cast<std::size_t>(Figure::connections)] += block.flows_new.get();
    sum.figures[static_cast<std::size_t>(Figure::active_connections)] += block.flows_active.get();
    sum.figures[static_cast<std::size_t>(Figure::failures)] += block.refused.get();
  }
  return sum;
}

std::uint64_t sum_counter(const Plane& plane, Counter counter) {
  std::uint64_t sum = 0;
  for (const auto& worker : plane.workers()) sum += worker->counters.get(counter);
  return sum;
}

void Baselines::begin(const Plane& plane, std::span<const ObjectRef> ids) {
  for (const ObjectRef& id : ids) {
    const ObjectFigures sum = sum_figures(plane, id.kind, id.id);
    const std::lock_guard lock{mutex_};
    began_[{id.kind, id.id}] = sum;
  }
}

ObjectFigures Baselines::now(const Plane& plane, ObjectKind kind, std::uint32_t id) const {
  const ObjectFigures sum = sum_figures(plane, kind, id);
  const std::lock_guard lock{mutex_};
  const auto began = began_.find({kind, id});
  return began == began_.end() ? sum : sum - began->second;
}

std::uint32_t open_connections(const WorkerSeat& worker) {
  return static_cast<std::uint32_t>(worker.counters.get(Counter::http_client_connections) +
                                    worker.counters.get(Counter::http_upstream_connections));
}

std::string name_of(const Policy& policy, ObjectKind kind, std::uint32_t id) {
  switch (kind) {
    case ObjectKind::listener:
      if (const auto* listener = policy.routes->listeners.find(id)) return listener->name;
      break;
    case ObjectKind::service:
      if (const auto* service = policy.routes->services.find(id)) return service->name;
      break;
    case ObjectKind::cluster:
      if (const auto* cluster = policy.clusters->clusters.find(id)) return cluster->name;
      break;
    case ObjectKind::endpoint:
      if (const auto* endpoint = find_endpoint(policy, id)) return endpoint->name;
      break;
    case ObjectKind::route: break;  // route names stand in the registry
  }
  return {};
}

Offset<fb::StatusReport> report_status(FlatBufferBuilder& out, const ReportSources& from) {
  const Publisher::Status status = from.publisher.status();
  std::vector<Offset<fb::WorkerStatus>> workers;
  const unsigned buffers = from.plane.buffers().data_free();
  for (std::size_t i = 0; i < from.plane.workers().size(); ++i) {
    const WorkerSeat& seat = *from.plane.workers()[i];
    const std::uint64_t total = static_cast<std::uint64_t>((from.plane.clock().now() - from.started).seconds() *
                                                           static_cast<double>(from.plane.clock().tsc_hz()));
    workers.push_back(fb::CreateWorkerStatus(out, static_cast<std::uint16_t>(i), static_cast<std::uint16_t>(seat.cpu),
                                             seat.counters.get(Counter::busy_tsc), total, open_connections(seat),
                                             seat.pipeline->forwarder().flows().size(), buffers));
  }
  std::vector<Offset<fb::PortStatus>> ports;
  for (const PortSeat& port : from.plane.ports()) {
    const PortCaps& caps = port.port->caps();
    std::vector<std::string> offloads;
    if (caps.tx_ip4_checksum) offloads.push_back("tx-ip4-checksum");
    if (caps.tx_l4_checksum) offloads.push_back("tx-l4-checksum");
    if (caps.rx_checksum) offloads.push_back("rx-checksum");
    if (caps.tso) offloads.push_back("tso");
    if (caps.multi_segment) offloads.push_back("multi-segment");
    ports.push_back(fb::CreatePortStatus(out, out.CreateString(port.name), out.CreateString(port.device->driver()),
                                         caps.queues, out.CreateString(std::string{to_text(caps.mac).view()}), caps.mtu,
                                         port.device->link_up(), caps.rss, out.CreateVectorOfStrings(offloads)));
  }
  const auto uptime = static_cast<std::uint64_t>((from.plane.clock().now() - from.started).millis());
  return fb::CreateStatusReport(
      out, out.CreateString(version_text()), out.CreateString(commit_text()), static_cast<std::uint32_t>(getpid()),
      uptime, from.draining, status.generation, status.applied_unix_ms, status.snapshots_alive,
      out.CreateString(status.store_error), static_cast<std::uint32_t>(status.listeners),
      static_cast<std::uint32_t>(status.routes), static_cast<std::uint32_t>(status.clusters),
      static_cast<std::uint32_t>(status.endpoints), static_cast<std::uint32_t>(status.services),
      out.CreateVector(workers), out.CreateVector(ports));
}

Offset<fb::StatsReport> report_stats(FlatBufferBuilder& out, const ReportSources& from, const fb::Stats& request) {
  std::vector<Offset<fb::CounterValue>> counters;
  for (std::size_t i = 0; i < counter_count; ++i) {
    std::vector<std::uint64_t> each;
    std::uint64_t sum = 0;
    for (const auto& worker : from.plane.workers()) {
      each.push_back(worker->counters.get(static_cast<Counter>(i)));
      sum += each.back();
    }
    counters.push_back(fb::CreateCounterValue(out, out.CreateString(std::string{counter_info[i].name}),
                                              out.CreateString(std::string{counter_info[i].unit}), sum,
                                              out.CreateVector(each)));
  }
  const Policy policy = from.publisher.current();
  std::vector<Offset<fb::ObjectStats>> objects;
  const auto wanted = [&](ObjectKind kind) {
    if (!request.kinds() || request.kinds()->size() == 0) return true;
    for (const auto named : *request.kinds())
      if (static_cast<ObjectKind>(named) == kind) return true;
    return false;
  };
  const auto add = [&](ObjectKind kind, std::uint32_t id, const std::string& name) {
    const ObjectFigures f = from.baselines.now(from.plane, kind, id);
    std::vector<std::uint64_t> upper, counts;
    for (std::size_t bucket = 0; bucket < LatencyHistogram::buckets; ++bucket) {
      if (f.latency[bucket] == 0) continue;
      upper.push_back(LatencyHistogram::upper_us(bucket));
      counts.push_back(f.latency[bucket]);
    }
    const std::vector<std::uint64_t> responses{f.get(Figure::responses_1xx), f.get(Figure::responses_2xx),
                                               f.get(Figure::responses_3xx), f.get(Figure::responses_4xx),
                                               f.get(Figure::responses_5xx)};
    const auto histogram =
        fb::CreateHistogram(out, out.CreateVector(upper), out.CreateVector(counts), f.get(Figure::latency_us_sum));
    objects.push_back(fb::CreateObjectStats(
        out, static_cast<fb::ObjectKind>(kind), out.CreateString(name), f.get(Figure::requests),
        out.CreateVector(responses), f.get(Figure::bytes_in), f.get(Figure::bytes_out), f.get(Figure::active_requests),
        f.get(Figure::connections), f.get(Figure::active_connections), f.get(Figure::failures), histogram));
  };
  if (wanted(ObjectKind::listener))
    for (const auto& listener : policy.routes->listeners) add(ObjectKind::listener, listener.id, listener.name);
  if (wanted(ObjectKind::cluster))
    for (const auto& cluster : policy.clusters->clusters) add(ObjectKind::cluster, cluster.id, cluster.name);
  if (wanted(ObjectKind::service))
    for (const auto& service : policy.routes->services) add(ObjectKind::service, service.id, service.name);
  if (wanted(ObjectKind::endpoint))
    for (const auto& group : policy.endpoints->groups)
      if (group)
        for (const auto& endpoint : group->endpoints)
          add(ObjectKind::endpoint, endpoint.id,
              endpoint_key(name_of(policy, ObjectKind::cluster, group->id), endpoint.name));
  if (wanted(ObjectKind::route))
    from.publisher.each_route([&](std::uint32_t id, const std::string& name) { add(ObjectKind::route, id, name); });
  return fb::CreateStatsReport(out, out.CreateVector(counters), out.CreateVector(objects));
}

Offset<fb::ServicesReport> report_services(FlatBufferBuilder& out, const ReportSources& from) {
  const Policy policy = from.publisher.current();
  std::vector<Offset<fb::ServiceStatus>> services;
  for (const policy::Service& service : policy.routes->services) {
    std::vector<Offset<fb::BackendStatus>> backends;
    const policy::EndpointGroup* group = policy.endpoints->of(service.cluster);
    for (const policy::Endpoint& endpoint :
         group ? std::span<const policy::Endpoint>{group->endpoints} : std::span<const policy::Endpoint>{}) {
      const ObjectFigures f = from.baselines.now(from.plane, ObjectKind::endpoint, endpoint.id);
      backends.push_back(fb::CreateBackendStatus(out, out.CreateString(endpoint.name),
                                                 out.CreateString(text_of(endpoint.address)), endpoint.weight,
                                                 f.get(Figure::active_connections), f.get(Figure::connections)));
    }
    services.push_back(fb::CreateServiceStatus(
        out, out.CreateString(service.name), out.CreateString(std::string{to_text(service.address).view()}),
        service.protocol == 17 ? fb::ServiceProtocol::udp : fb::ServiceProtocol::tcp, service.first_port,
        service.last_port, out.CreateString(name_of(policy, ObjectKind::cluster, service.cluster)),
        out.CreateVector(backends)));
  }
  return fb::CreateServicesReport(out, out.CreateVector(services));
}

Offset<fb::FlowsReport> report_flows(FlatBufferBuilder& out, const ReportSources& from, const fb::Flows& request) {
  constexpr std::string_view phases[] = {"syn", "established", "fin", "closed", "one-way", "two-way"};
  const Policy policy = from.publisher.current();
  const auto now_ms = static_cast<std::uint32_t>(from.plane.clock().now().millis());
  std::uint32_t only = policy::no_id;
  const bool all = !request.service() || request.service()->size() == 0;
  if (!all)
    for (const policy::Service& service : policy.routes->services)
      if (service.name == request.service()->string_view()) only = service.id;
  std::vector<Offset<fb::FlowStatus>> flows;
  std::uint64_t total = 0;
  for (std::size_t worker = 0; worker < from.plane.workers().size(); ++worker) {
    const FlowTable& table = from.plane.workers()[worker]->pipeline->forwarder().flows();
    std::vector<FlowRecord> records(256);
    std::uint32_t place = 0;
    do {
      std::size_t count = 0;
      place = table.list(place, records, count);
      for (std::size_t i = 0; i < count; ++i) {
        const FlowRecord& r = records[i];
        if (!all && r.ends.service != only) continue;
        if (total++ >= request.limit()) continue;
        flows.push_back(
            fb::CreateFlowStatus(out, static_cast<std::uint16_t>(worker),
                                 out.CreateString(name_of(policy, ObjectKind::service, r.ends.service)),
                                 r.ends.protocol == Protocol::udp ? fb::ServiceProtocol::udp : fb::ServiceProtocol::tcp,
                                 out.CreateString(text_of({r.ends.client, r.ends.client_port})),
                                 out.CreateString(text_of({r.ends.vip, r.ends.vip_port})),
                                 out.CreateString(text_of({r.ends.local, r.ends.local_port})),
                                 out.CreateString(text_of({r.ends.backend, r.ends.backend_port})),
                                 out.CreateString(name_of(policy, ObjectKind::endpoint, r.ends.endpoint)),
                                 out.CreateString(std::string{phases[static_cast<std::size_t>(r.phase)]}),
                                 now_ms - r.last_ms, r.packets_in, r.packets_out, r.bytes_in, r.bytes_out));
      }
    } while (place != 0);
  }
  return fb::CreateFlowsReport(out, out.CreateVector(flows), total);
}

void TraceStories::collect(Plane& plane) {
  std::array<TraceEvent, 64> events;
  while (const std::size_t n = plane.trace().take(events)) {
    for (std::size_t i = 0; i < n; ++i) {
      const TraceEvent& event = events[i];
      if (stories_.size() >= stories_max && !stories_.contains(event.story)) continue;
      Story& story = stories_[event.story];
      if (story.lines.empty()) {
        story.worker = event.worker;
        story.began = event.at;
      }
      if (story.lines.size() < lines_max)
        story.lines.push_back(fmt::format("+{:>6} us  {:<10} {}", (event.at - story.began).micros(), event.stage_view(),
                                          event.text_view()));
    }
    if (n < events.size()) break;
  }
}

void TraceStories::clear() { stories_.clear(); }

Offset<fb::TraceReport> TraceStories::report(FlatBufferBuilder& out, Plane& plane) {
  collect(plane);
  std::vector<Offset<fb::TraceStory>> stories;
  for (const auto& [id, story] : stories_)
    stories.push_back(fb::CreateTraceStory(out, story.worker, out.CreateVectorOfStrings(story.lines)));
  return fb::CreateTraceReport(out, out.CreateVector(stories), plane.trace().left());
}

}  // namespace sluice::mgmt
