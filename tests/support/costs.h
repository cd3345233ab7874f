#pragma once

#include "sim/costs/cost_model.h"

namespace bubblescope {

/// One StageCost for all stages, in nanoseconds.
struct SimpleCosts {
  std::int64_t forward = 1;
  std::int64_t input_grad = 1;
  std::int64_t weight_grad = 1;
  std::int64_t overlapped = -1;  ///< −1: none given.
  std::int64_t hop = 0;          ///< Latency of a message.
};

CostSource simple_costs(SimpleCosts costs);

}  // namespace bubblescope
