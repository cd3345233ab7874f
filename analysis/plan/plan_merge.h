// Shards of a search put together.
#pragma once

#include <vector>

#include "analysis/plan/plan_search.h"

namespace bubblescope {

/// What a search for the whole finds, but for how much was simulated. The shards are all of one
/// question's, each once, and complete; their spaces, states and bounds do not count.
PlanResult merge_plans(PlanSpace space, const std::vector<PlanResult>& shards);

}  // namespace bubblescope
