// testpmd.h - DPDK's own forwarder as context for packets per second: a real run of Debian's dpdk-testpmd in the same
// run, mode macswap, one core, between two net_null devices. net_null makes no packet and reads none (it hands out
// empty buffers and frees what it is given), so the figure bounds what a burst loop with buffer allocation does here;
// it is no peer, and there is no ratio.
#pragma once

#include "perf/scenario.h"

namespace sluice::perf {

void testpmd(Ground& ground);

}  // namespace sluice::perf
