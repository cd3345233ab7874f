// Bounds of all configurations of a space.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "analysis/plan/plan_bounds.h"
#include "analysis/plan/plan_space.h"

namespace bubblescope {

/// Every so many splits, from one on.
struct PlanShard {
  std::uint32_t shards = 1;
  std::uint32_t shard = 0;
};

/// [configuration] Of the splits of a shard. Splits are told on several threads. Of one whose
/// weights alone take more than `most` only the memory is bounded. Bounds that `is_stopped`, which
/// may be empty, cuts off are zero.
std::vector<PlanBound> space_bounds(const PlanQuestion& question, const PlanSpace& space,
                                    Bytes most, PlanShard shard, int threads,
                                    const std::function<bool()>& is_stopped);

}  // namespace bubblescope
