// exposition.h - everything that can be counted, as Prometheus text: the workers' counters, the named objects of the
// running policy, gauges of the node. Names, help and units of counters come from dataplane/base/counters.list.h.
// Management thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mgmt/reports.h"

namespace sluice::mgmt {

std::string metrics_text(const ReportSources& from);

// "sluice_rx_bytes_total", "sluice_tls_sessions": what metrics call a counter.
std::string metric_name(const CounterInfo& counter);

// What stands beside the counters, for docs/counters.md. KIND is listener, route, cluster, endpoint or service.
struct MetricInfo {
  std::string name;
  std::string_view type, labels, help;
};
std::vector<MetricInfo> metric_reference();

}  // namespace sluice::mgmt
