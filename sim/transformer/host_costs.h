// The host that launches a GPU's kernels: what it needs longer than the GPU to run them.
#pragma once

#include "sim/transformer/layer_costs.h"

namespace bubblescope {

/// Adds to a layer whatever its host needs longer, each way. CUDA graphs launch what they have
/// recorded at once.
void add_host(const LayerSetting& setting, const LayerKind& kind, LayerCost& layer);

/// Adds to the first layer of a stage what each of its actions costs.
void add_host_of_action(const LayerSetting& setting, LayerCost& layer);

}  // namespace bubblescope
