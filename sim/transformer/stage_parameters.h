// How many parameters a GPU has of a stage's layers.
#pragma once

#include <vector>

#include "sim/transformer/layer_costs.h"
#include "sim/transformer/stage_layout.h"

namespace bubblescope {

/// One for each layer of a stage, those of multi-token prediction last. The embedding goes with the
/// first and the head with the last; a stage without layers has one that has nothing else.
std::vector<Parameters> layer_parameters(const LayerSetting& setting, const StageLayers& stage);
/// All of them.
Parameters stage_parameters(const LayerSetting& setting, const StageLayers& stage);

}  // namespace bubblescope
