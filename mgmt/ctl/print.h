// print.h - replies of the node as a person reads them. Pure functions from a verified table to text.
#pragma once

#include <string>

#include "mgmt/schema/control_generated.h"

namespace sluice::ctl {

std::string print(const fb::Applied& applied, bool dry_run);
std::string print(const fb::StatusReport& status);
std::string print(const fb::ServicesReport& services);
std::string print(const fb::FlowsReport& flows);
std::string print(const fb::ConnectionsReport& connections);
std::string print(const fb::TraceReport& trace);
// With `before` and the seconds since then: rates, and only what moved.
std::string print(const fb::StatsReport& stats, bool all, const fb::StatsReport* before = nullptr, double seconds = 0);

// What went wrong, and every fault with its path: a line each.
std::string print_refusal(const fb::Reply& reply);

}  // namespace sluice::ctl

// Tested in tests/unit/mgmt/ctl/commands_test.cc.
