// worker_config.h - what the node file says of one worker's pipeline: sizes of its pools and the rules of its TCP. All
// but chance: keys and seeds are the caller's to draw.
#pragma once

#include <span>

#include "l7/pipeline.h"
#include "mgmt/node_config.h"
#include "mgmt/topology.h"

namespace sluice::mgmt {

// `sources`: the addresses that upstream connections come from; at most tcp::sources_max.
PipelineConfig worker_config(const NodeConfig& node, const BufferPlan& plan, std::span<const IpAddress> sources,
                             std::uint16_t worker);

}  // namespace sluice::mgmt
