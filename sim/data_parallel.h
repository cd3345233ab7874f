// What data parallelism costs: reducing gradients, updating weights, and gathering what ZeRO
// divides.
#pragma once

#include "sim/layer_costs.h"
#include "sim/stage_parameters.h"

namespace bubblescope {

/// GPUs that have the same parameters, `per_node` of them in each of `nodes` nodes.
struct ReplicaGroup {
  std::int64_t size = 1;
  std::int64_t per_node = 1;
  std::int64_t nodes = 1;
};

/// Those of the parameters outside the experts, which lie tp apart, and those of the experts, which
/// lie ep × the GPUs of one expert apart: as Megatron-Core numbers its ranks.
ReplicaGroup plain_replicas(const LayerSetting& setting);
ReplicaGroup expert_replicas(const LayerSetting& setting);

/// Seconds of a reduce-scatter or an all-gather of so many bytes; an all-reduce is both. `Ring`:
/// size − 1 steps, by as many rings as a node has members, so that each has a NIC. `Hierarchical`:
/// over NVLink within the nodes, and by each member with its likes in the other nodes.
double collective_seconds(const LayerSetting& setting, const ReplicaGroup& group, double bytes);

/// Of a layer's parameters in bf16, for its forward or backward, where ZeRO 3 divides them.
PhaseCost gather_parameters(const LayerSetting& setting, const Parameters& parameters);
/// Of a layer's gradients, for each micro-batch where ZeRO 2 or 3 divides them.
PhaseCost reduce_gradients(const LayerSetting& setting, const Parameters& parameters);

/// What follows a stage's last backward, in seconds.
struct StageUpdate {
  double reduce =
      0;  ///< An all-reduce; with ZeRO 1 a reduce-scatter; with 2 and 3 nothing is left.
  double optimizer =
      0;  ///< Adam, bound by memory; with ZeRO 1 and 2 parameters are gathered after.
};
StageUpdate stage_update(const LayerSetting& setting, const Parameters& parameters);

}  // namespace bubblescope
