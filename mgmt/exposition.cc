// Tested end to end, where the page is scraped from a running node.
#include "mgmt/exposition.h"

#include <fmt/format.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <deque>

#include "mgmt/version.h"

namespace sluice::mgmt {

namespace {

using policy::ObjectKind;
using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

bool is_gauge(std::string_view unit) { return unit.starts_with("gauge:"); }

struct Gauge {
  std::string_view name, labels, help;
};
constexpr std::array gauges = {
    Gauge{"sluice_build_info", "version, commit, node", "1; what runs stands in the labels"},
    Gauge{"sluice_uptime_seconds", "", "Since the workers started"},
    Gauge{"sluice_draining", "", "1: no new connections"},
    Gauge{"sluice_policy_generation", "", "Of the running policy; 0: none applied yet"},
    Gauge{"sluice_policy_applied_timestamp_seconds", "", "When it was applied"},
    Gauge{"sluice_policy_stored", "", "1: the running policy is kept on disk"},
    Gauge{"sluice_snapshots_alive", "", "Policies that some worker may still read"},
    Gauge{"sluice_packet_buffers_free", "", "Packet buffers in the node's pool"},
    Gauge{"sluice_packet_slices_free", "", "Packet descriptors in the node's pool"},
    Gauge{"sluice_workers", "", "Packet threads"},
    Gauge{"sluice_port_up", "port, driver", "1: the port has its link"},
    Gauge{"sluice_cluster_permits_in_use", "cluster, kind", "What counts against a cluster's limits now"},
    Gauge{"sluice_cluster_permits_limit", "cluster, kind", "A cluster's limits over the node"},
    Gauge{"sluice_listener_permits_in_use", "listener", "Connections that count against a listener's limit now"},
};

class Page {
 public:
  MetricFamily& family(std::string name, std::string help, MetricType type) {
    families_.push_back({std::move(name), std::move(help), type, {}});
    return families_.back();
  }
  MetricFamily& gauge(std::string_view name) {
    const auto found = std::ranges::find(gauges, name, &Gauge::name);
    CHECK(found != gauges.end());
    return family(std::string{name}, std::string{found->help}, MetricType::Gauge);
  }
  void gauge(std::string_view name, double value, Labels labels = {}) { add(gauge(name), value, std::move(labels)); }
  static void add(MetricFamily& family, double value, Labels labels) {
    ClientMetric metric;
    metric.label = std::move(labels);
    (family.type == MetricType::Gauge ? metric.gauge.value : metric.counter.value) = value;
    family.metric.push_back(std::move(metric));
  }
  std::string text() const { return prometheus::TextSerializer{}.Serialize({families_.begin(), families_.end()}); }

 private:
  std::deque<MetricFamily> families_;  // what is handed out stays where it is
};

void add_counters(Page& page, const ReportSources& from) {
  for (std::size_t i = 0; i < counter_count; ++i) {
    const CounterInfo& info = counter_info[i];
    MetricFamily& family = page.family(metric_name(info), std::string{info.help},
                                       is_gauge(info.unit) ? MetricType::Gauge : MetricType::Counter);
    for (std::size_t worker = 0; worker < from.plane.workers().size(); ++worker)
      Page::add(family, static_cast<double>(from.plane.workers()[worker]->counters.get(static_cast<Counter>(i))),
                {{"worker", std::to_string(worker)}});
  }
}

// The upper edges that are told: powers of two of a microsecond, from 64 us to 67 s.
ClientMetric latency_metric(const ObjectFigures& figures) {
  ClientMetric metric;
  auto& histogram = metric.histogram;
  std::size_t bucket = 0;
  for (std::uint64_t edge_us = 64; edge_us <= std::uint64_t{1} << 26; edge_us *= 2) {
    for (; bucket < LatencyHistogram::buckets && LatencyHistogram::upper_us(bucket) < edge_us; ++bucket)
      histogram.sample_count += figures.latency[bucket];
    histogram.bucket.push_back({histogram.sample_count, static_cast<double>(edge_us) / 1e6});
  }
  for (; bucket < LatencyHistogram::buckets; ++bucket) histogram.sample_count += figures.latency[bucket];
  histogram.bucket.push_back({histogram.sample_count, std::numeric_limits<double>::infinity()});
  histogram.sample_sum = static_cast<double>(figures.get(Figure::latency_us_sum)) / 1e6;
  return metric;
}

struct Object {
  ObjectFigures figures;
  Labels labels;
};

struct Told {
  Figure figure;
  const char* name;
  const char* help;
  MetricType type = MetricType::Counter;
};
constexpr std::array told = {
    Told{Figure::requests, "requests_total", "HTTP requests"},
    Told{Figure::bytes_in, "bytes_in_total", "Bytes from the client's side"},
    Told{Figure::bytes_out, "bytes_out_total", "Bytes towards the client's side"},
    Told{Figure::active_requests, "active_requests", "HTTP requests under way", MetricType::Gauge},
    Told{Figure::connections, "connections_total", "Connections; flows of an L4 service"},
    Told{Figure::active_connections, "active_connections", "Connections open; flows of an L4 service",
         MetricType::Gauge},
    Told{Figure::failures, "failures_total",
         "Failed connects, resets and timeouts of endpoints; requests answered by the node with 5xx"},
};

constexpr const char* responses_help = "HTTP answers by class";
constexpr const char* latency_help = "From the request's first byte to the answer's last";

void add_objects(Page& page, const std::string& kind, const std::vector<Object>& objects) {
  for (const Told& one : told) {
    MetricFamily& family =
        page.family(fmt::format("sluice_{}_{}", kind, one.name), fmt::format("{}, by {}", one.help, kind), one.type);
    for (const Object& object : objects)
      Page::add(family, static_cast<double>(object.figures.get(one.figure)), object.labels);
  }
  MetricFamily& responses = page.family(fmt::format("sluice_{}_responses_total", kind),
                                        fmt::format("{}, by {}", responses_help, kind), MetricType::Counter);
  for (const Object& object : objects)
    for (unsigned group = 1; group <= 5; ++group) {
      Labels labels = object.labels;
      labels.push_back({"class", fmt::format("{}xx", group)});
      const auto figure = static_cast<Figure>(static_cast<unsigned>(Figure::responses_1xx) + group - 1);
      Page::add(responses, static_cast<double>(object.figures.get(figure)), std::move(labels));
    }
  MetricFamily& latency = page.family(fmt::format("sluice_{}_latency_seconds", kind),
                                      fmt::format("{}, by {}", latency_help, kind), MetricType::Histogram);
  for (const Object& object : objects) {
    if (object.figures.get(Figure::requests) == 0) continue;
    ClientMetric metric = latency_metric(object.figures);
    metric.label = object.labels;
    latency.metric.push_back(std::move(metric));
  }
}

void add_objects(Page& page, const ReportSources& from, const Policy& policy) {
  const auto figures = [&](ObjectKind kind, std::uint32_t id) { return from.baselines.now(from.plane, kind, id); };
  std::vector<Object> listeners, routes, clusters, endpoints, services;
  for (const auto& one : policy.routes->listeners)
    listeners.push_back({figures(ObjectKind::listener, one.id), {{"listener", one.name}}});
  from.publisher.each_route([&](std::uint32_t id, const std::string& name) {
    routes.push_back({figures(ObjectKind::route, id), {{"route", name}}});
  });
  for (const auto& one : policy.clusters->clusters)
    clusters.push_back({figures(ObjectKind::cluster, one.id), {{"cluster", one.name}}});
  for (const auto& group : policy.endpoints->groups)
    if (group)
      for (const auto& one : group->endpoints)
        endpoints.push_back({figures(ObjectKind::endpoint, one.id),
                             {{"cluster", name_of(policy, ObjectKind::cluster, group->id)}, {"endpoint", one.name}}});
  for (const auto& one : policy.routes->services)
    services.push_back({figures(ObjectKind::service, one.id), {{"service", one.name}}});
  add_objects(page, "listener", listeners);
  add_objects(page, "route", routes);
  add_objects(page, "cluster", clusters);
  add_objects(page, "endpoint", endpoints);
  add_objects(page, "service", services);
}

void add_permits(Page& page, const ReportSources& from, const Policy& policy) {
  constexpr std::array kinds = {"connections", "pending", "requests"};
  static_assert(kinds.size() == static_cast<std::size_t>(ClusterPermit::count_));
  const Permit& clusters = from.plane.cluster_permits();
  MetricFamily& used = page.gauge("sluice_cluster_permits_in_use");
  MetricFamily& limits = page.gauge("sluice_cluster_permits_limit");
  for (const auto& cluster : policy.clusters->clusters)
    for (std::uint32_t kind = 0; kind < kinds.size(); ++kind) {
      const Labels labels = {{"cluster", cluster.name}, {"kind", kinds[kind]}};
      Page::add(used, clusters.in_use(cluster.id, kind), labels);
      Page::add(limits, clusters.limit(cluster.id, kind), labels);
    }
  MetricFamily& listeners = page.gauge("sluice_listener_permits_in_use");
  for (const auto& listener : policy.routes->listeners)
    Page::add(listeners, from.plane.listener_permits().in_use(listener.id, 0), {{"listener", listener.name}});
}

void add_node(Page& page, const ReportSources& from) {
  const Publisher::Status status = from.publisher.status();
  page.gauge("sluice_build_info", 1,
             {{"version", version_text()}, {"commit", commit_text()}, {"node", from.plane.config().name}});
  page.gauge("sluice_uptime_seconds", (from.plane.clock().now() - from.started).seconds());
  page.gauge("sluice_draining", from.draining ? 1 : 0);
  page.gauge("sluice_policy_generation", static_cast<double>(status.generation));
  page.gauge("sluice_policy_applied_timestamp_seconds", static_cast<double>(status.applied_unix_ms) / 1000);
  page.gauge("sluice_policy_stored", status.store_error.empty() ? 1 : 0);
  page.gauge("sluice_snapshots_alive", status.snapshots_alive);
  page.gauge("sluice_packet_buffers_free", from.plane.buffers().data_free());
  page.gauge("sluice_packet_slices_free", from.plane.buffers().slices_free());
  page.gauge("sluice_workers", static_cast<double>(from.plane.workers().size()));
  MetricFamily& up = page.gauge("sluice_port_up");
  for (const PortSeat& port : from.plane.ports())
    Page::add(up, port.device->link_up() ? 1 : 0, {{"port", port.name}, {"driver", port.device->driver()}});
}

}  // namespace

std::string metric_name(const CounterInfo& counter) {
  return fmt::format("sluice_{}{}", counter.name, is_gauge(counter.unit) ? "" : "_total");
}

std::vector<MetricInfo> metric_reference() {
  std::vector<MetricInfo> out;
  for (const Gauge& one : gauges) out.push_back({std::string{one.name}, "gauge", one.labels, one.help});
  for (const Told& one : told)
    out.push_back({fmt::format("sluice_KIND_{}", one.name), one.type == MetricType::Gauge ? "gauge" : "counter",
                   "the object's name", one.help});
  out.push_back({"sluice_KIND_responses_total", "counter", "the object's name, class (1xx to 5xx)", responses_help});
  out.push_back({"sluice_KIND_latency_seconds", "histogram", "the object's name", latency_help});
  return out;
}

std::string metrics_text(const ReportSources& from) {
  const Policy policy = from.publisher.current();
  Page page;
  add_node(page, from);
  add_counters(page, from);
  add_objects(page, from, policy);
  add_permits(page, from, policy);
  return page.text();
}

}  // namespace sluice::mgmt
