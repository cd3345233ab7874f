// Schedules made for given costs and a given memory limit: `zb-auto`, one stage a rank, and
// `v-auto`, two stages a rank.
#pragma once

#include <span>

#include "sim/costs/cost_model.h"
#include "sim/schedule/schedule.h"
#include "sim/search/lower_bound.h"
#include "sim/search/problem.h"

namespace bubblescope {

struct SearchOptions {
  /// What may be live on a rank at any place of its order.
  std::int64_t memory_limit = 0;
  /// SizeInBytes: only with costs that tell sizes.
  MemoryUnit memory_unit = MemoryUnit::Activations;
  Objective objective = Objective::Step;
  int effort = 1;  ///< ≥ 1. So many passes, of which the best counts: more never give a worse one.
};

struct SearchResult {
  Schedule schedule = {};
  Score score = {};       ///< Of the schedule, as `simulate` would tell it.
  LowerBound bound = {};  ///< On the objective.
};

/// The least limit under which there is a schedule: a micro-batch is live on all stages of a rank.
std::int64_t least_memory_limit(const Placement& placement, const CostModel& costs,
                                MemoryUnit unit);

/// `placement` has one pipe, with one stage or two on each rank; m ≥ 1. Seeds are schedules of the
/// same shape to start from; those that are not, or exceed the limit, are left out. A function of
/// its arguments: no clock, no chance. Throws Error where the limit is below the least one.
SearchResult search_schedule(const Placement& placement, int microbatches, const CostModel& costs,
                             const SearchOptions& options, std::span<const Schedule> seeds);

}  // namespace bubblescope
