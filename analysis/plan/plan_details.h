// Figures of a configuration that its search does without.
#pragma once

#include <cstdint>
#include <vector>

#include "analysis/plan/plan_space.h"
#include "sim/program/posted_program.h"

namespace bubblescope {

struct PlanDetails {
  Time exposed_comm{};    ///< A rank communicates so long and does not compute: the mean of ranks.
  Bytes weights = 0;      ///< With gradients and optimizer state, on the rank that holds most.
  Bytes activations = 0;  ///< The other part of its peak.
};

/// As `simulate` tells them of a job with a layout.
PlanDetails plan_details(PostedProgram program, const ModelJob& job);

/// Tells several configurations' details, on several threads.
std::vector<PlanDetails> plan_details(const PlanQuestion& question, const PlanSpace& space,
                                      const std::vector<std::uint32_t>& numbers, int threads);

}  // namespace bubblescope
