// What data parallelism costs: reducing gradients, updating weights, and gathering what ZeRO
// divides.
#pragma once

#include "sim/transformer/collectives.h"
#include "sim/transformer/layer_costs.h"
#include "sim/transformer/stage_parameters.h"

namespace bubblescope {

/// GPUs that have the same parameters: outside the experts they lie tp apart, those of the experts
/// ep × the GPUs of one expert apart: as Megatron-Core numbers its ranks.
GpuGroup plain_replicas(const LayerSetting& setting);
GpuGroup expert_replicas(const LayerSetting& setting);

/// Of a layer's parameters in bf16, for its forward or backward, where ZeRO 3 divides them.
PhaseCost gather_parameters(const LayerSetting& setting, const Parameters& parameters);
/// Of a layer's gradients, for each micro-batch where ZeRO 2 or 3 divides them.
PhaseCost reduce_gradients(const LayerSetting& setting, const Parameters& parameters);

/// What follows a stage's last backward, in seconds.
struct StageUpdate {
  double reduce =
      0;  ///< An all-reduce; with ZeRO 1 a reduce-scatter; with 2 and 3 nothing is left.
  double optimizer = 0;  ///< Adam, bound by memory.
  double gather = 0;     ///< With ZeRO 1 and 2: parameters, after the optimizer.
};
StageUpdate stage_update(const LayerSetting& setting, const Parameters& parameters);

}  // namespace bubblescope
