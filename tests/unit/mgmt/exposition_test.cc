#include "mgmt/exposition.h"

#include <map>
#include <sstream>

#include "tests/unit/mgmt/running.h"

namespace sluice::mgmt {
namespace {

using test::running;

// The families of a page: name and type, by its TYPE lines.
std::map<std::string, std::string> families(const std::string& page) {
  std::map<std::string, std::string> out;
  std::istringstream lines{page};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words{line};
    std::string hash, what, name, type;
    if (words >> hash >> what >> name >> type && hash == "#" && what == "TYPE") {
      EXPECT_TRUE(out.emplace(name, type).second) << name << " stands there twice";
    }
  }
  return out;
}

TEST(Exposition, ThePageHasWhatTheReferenceSaysAndNothingElse) {
  running().apply(test::sample());
  std::map<std::string, std::string> wanted;
  for (const CounterInfo& info : counter_info)
    wanted[metric_name(info)] = info.unit.starts_with("gauge:") ? "gauge" : "counter";
  for (const MetricInfo& info : metric_reference()) {
    const std::size_t at = info.name.find("KIND");
    if (at == std::string::npos) wanted[info.name] = info.type;
    else
      for (const char* kind : {"listener", "route", "cluster", "endpoint", "service"})
        wanted[std::string{info.name}.replace(at, 4, kind)] = info.type;
  }
  EXPECT_EQ(families(metrics_text(running().sources())), wanted);
}

TEST(Exposition, ValuesCarryTheirLabels) {
  running().apply(test::sample());
  Plane& plane = *running().plane;
  const std::uint32_t id = running().cluster("a");
  ASSERT_TRUE(plane.ask(
      1,
      [&](Pipeline&, Nanos) {
        ObjectStats& cluster = plane.workers()[1]->stats->cluster(id);
        cluster.add(Figure::requests, 2);
        cluster.response(503);
        cluster.latency(Nanos{100'000});
        cluster.latency(Nanos{3'000'000'000});
      },
      Nanos{5'000'000'000}));
  const std::string page = metrics_text(running().sources());
  const auto has = [&](const std::string& line) { return page.find("\n" + line + "\n") != std::string::npos; };
  EXPECT_TRUE(has("sluice_cluster_requests_total{cluster=\"a\"} 2")) << page;
  EXPECT_TRUE(has("sluice_cluster_responses_total{cluster=\"a\",class=\"5xx\"} 1"));
  EXPECT_TRUE(has("sluice_cluster_latency_seconds_bucket{cluster=\"a\",le=\"0.000128\"} 1"));
  EXPECT_TRUE(has("sluice_cluster_latency_seconds_bucket{cluster=\"a\",le=\"+Inf\"} 2"));
  EXPECT_TRUE(has("sluice_cluster_latency_seconds_sum{cluster=\"a\"} 3.0001"));
  EXPECT_TRUE(has("sluice_workers 2"));
  EXPECT_TRUE(has("sluice_port_up{port=\"front\",driver=\"net_null\"} 1"));
}

}  // namespace
}  // namespace sluice::mgmt
