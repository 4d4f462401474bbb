// scenario.h - the scenarios by name. Each runs what it measures and puts figures, or the reason why there is none,
// into the report. A wrong answer or packet ends the process: no figure is given for wrong work.
#pragma once

#include <span>
#include <string_view>

#include "perf/report.h"
#include "perf/rig.h"

namespace sluice::perf {

// What every scenario stands on, made once by main.
struct Ground {
  const Options options;
  Buffers& buffers;
  const Clock& clock;
  Report& report;
};

struct Scenario {
  std::string_view name, about;
  void (*run)(Ground&);
};

void run_l4(Ground& ground);
void run_flow_table(Ground& ground);
void run_http(Ground& ground);
void run_tcp(Ground& ground);

inline constexpr Scenario scenarios[] = {
    {"l4", "full-NAT of 64-byte UDP packets, beside a minimal full-NAT over rte_hash; testpmd for context", run_l4},
    {"flow-table", "look-ups with the read of the flow's state, and inserts, beside rte_hash", run_flow_table},
    {"http", "HTTP/1.1 requests through the proxy, beside HAProxy", run_http},
    {"tcp", "connections through the proxy, bulk, a million connections, a link with loss", run_tcp},
};

}  // namespace sluice::perf
