// How a model is divided beside the pipeline: by tensors, experts, data and context.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "sim/transformer/hardware.h"
#include "sim/transformer/model.h"

namespace bubblescope {

/// Each stage of the pipeline is on tensor × context × data GPUs. Experts are divided over groups
/// of `expert` among them, as Megatron-Core folds them: an expert is whole on one GPU where
/// `expert` > 1, and divided over the tensor group where it is 1.
struct Parallel {
  std::int64_t tensor = 1;
  std::int64_t expert = 1;
  std::int64_t data = 1;
  std::int64_t context = 1;

  std::int64_t gpus_per_stage() const { return tensor * context * data; }
  /// GPUs with the same parameters outside the experts; optimizer state may be divided over them.
  std::int64_t replicas() const { return data * context; }
  /// Over how many GPUs one expert is divided.
  std::int64_t expert_tensor() const { return expert > 1 ? 1 : tensor; }
  /// GPUs with the same experts.
  std::int64_t expert_replicas() const { return gpus_per_stage() / (expert * expert_tensor()); }

  friend bool operator==(const Parallel&, const Parallel&) = default;
};

/// Degrees as they are asked for.
struct Degrees {
  std::optional<std::int64_t> tensor = {}, expert = {}, data = {}, context = {};

  /// A degree that is left out is 1, and dp the least that gives ep its GPUs.
  Parallel complete() const;
};

/// "tp=8,ep=64,dp=128,cp=1". Throws Error that names the word and its place.
Degrees parse_degrees(std::string_view text);
inline Parallel parse_parallel(std::string_view text) {
  return parse_degrees(text).complete();
}

/// Throws Error where the model cannot be divided so, or ep GPUs are not there.
void check(const Parallel& parallel, const Model& model);

}  // namespace bubblescope
