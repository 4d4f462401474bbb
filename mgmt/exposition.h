// exposition.h - everything that can be counted, as Prometheus text: the workers' counters, the named objects of the
// running policy, gauges of the node. Names, help and units of counters come from dataplane/base/counters.list.h.
// Management thread.
#pragma once

#include <string>

#include "mgmt/reports.h"

namespace sluice::mgmt {

std::string metrics_text(const ReportSources& from);

// "sluice_rx_bytes_total", "sluice_tls_sessions": what metrics call a counter.
std::string metric_name(const CounterInfo& counter);

}  // namespace sluice::mgmt
