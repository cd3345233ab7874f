// The layers of a model, as keys of Hugging Face's config.json or of Bubblescope's format list
// them.
#pragma once

#include "sim/base/json_input.h"
#include "sim/transformer/model_families.h"

namespace bubblescope {

/// Sets the kinds of layers, the layers and those of multi-token prediction.
void read_layers(ObjectReader& object, const Family& family, Model& model);

}  // namespace bubblescope
