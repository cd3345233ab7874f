// Which layers of a model each stage of a pipe holds.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sim/transformer/model.h"

namespace bubblescope {

/// What one stage holds, in this order: the embedding, layers of the model, multi-token prediction
/// layers, the head with the loss.
struct StageLayers {
  bool embedding = false;
  std::int64_t first = 0;  ///< Of its layers.
  std::int64_t layers = 0;
  std::int64_t predictions = 0;
  bool head = false;

  friend bool operator==(const StageLayers&, const StageLayers&) = default;
};

using StageLayout = std::vector<StageLayers>;  ///< [stage]

/// As many layers for each stage; where they do not divide, the earlier stages have one more, since
/// the last has the head and multi-token prediction beside them: 61 layers over 16 stages are 13 ×
/// 4 and 3 × 3. Throws Error where a stage would have none.
StageLayout even_layout(const Model& model, int stages);

/// Megatron-LM's --pipeline-model-parallel-layout: a stage is E (embedding), t (layer), m (multi-
/// token prediction) and L (loss); | ends a stage, x*3 is xxx, (…)*3 repeats what is in the
/// parentheses, commas are for the eye. "Et*3|(tt|)*29,m|L" are 32 stages of 61 layers. Throws
/// Error, with the character, for what Megatron refuses, and for another number of layers than the
/// model has; its multi-token prediction may be left out.
StageLayout parse_layout(std::string_view text, const Model& model);

/// In the same language, short: "Et*3|(t*2|)*29m|L".
std::string to_text(const StageLayout& layout);

/// "13 × 4, 3 × 3": how many stages hold how many layers, in order.
std::string layer_counts(const StageLayout& layout);

}  // namespace bubblescope
