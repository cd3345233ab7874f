// What one stage costs.
#pragma once

#include <optional>

#include "sim/base/types.h"
#include "sim/costs/phases.h"

namespace bubblescope {

/// What one stage costs, as a cost source tells it. Durations and bytes are never negative.
struct StageCost {
  Time forward{};
  Time input_grad{};
  Time weight_grad{};
  std::optional<Time> backward = {};    ///< Default: input_grad + weight_grad.
  std::optional<Time> overlapped = {};  ///< An F&B pair as one. Default: F, then B, nothing hidden.
  /// Communication inside the action that only a pair hides; F, and I or B, outside a pair pay it.
  Time exposed_forward{};
  Time exposed_input_grad{};
  std::optional<Bytes> activation = {};  ///< Born at F, gone after W or B.
  std::optional<Bytes> activation_after_input_grad =
      {};  ///< There between I and W; more than before where I makes it again. Default: all of it.
  std::optional<Bytes> weights = {};  ///< Parameters, gradients, optimizer state, buffers.
  Bytes message = 0;                  ///< What a stage sends: an activation, or its gradient.
  Time grad_reduce{};       ///< Of the stage's gradients over data-parallel ranks, once a step.
  Time optimizer{};         ///< The update of the stage's weights, once a step.
  LayerPhases phases = {};  ///< What its actions do inside; may be empty.
  /// F, I, W and B last as their phases do; of the times above only `overlapped` is told.
  bool timed_by_phases = false;
};

}  // namespace bubblescope
