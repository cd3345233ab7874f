// What it costs to gather or reduce over a group of GPUs.
#pragma once

#include <cstdint>

#include "sim/transformer/layer_setting.h"
#include "sim/transformer/phase_cost.h"

namespace bubblescope {

/// GPUs of which `per_node` are in each of `nodes` nodes; the last may have fewer.
struct GpuGroup {
  std::int64_t size = 1;
  std::int64_t per_node = 1;
  std::int64_t nodes = 1;
};

/// `size` GPUs, each so many behind the one before.
GpuGroup group_of(std::int64_t size, std::int64_t stride, const Hardware& hardware);

/// A reduce-scatter or an all-gather of so many bytes; an all-reduce is both. `Ring`: size − 1
/// steps, by as many rings as a node has members, so that each has a NIC. `Hierarchical`: over
/// NVLink within the nodes, and by each member with its likes in the other nodes. Of nothing it
/// takes no time.
PhaseCost collective_cost(const LayerSetting& setting, const GpuGroup& group, double bytes);

}  // namespace bubblescope
