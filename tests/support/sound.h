#pragma once

#include "sim/costs/cost_model.h"
#include "sim/engine/dependency_graph.h"
#include "sim/program/lowering.h"

namespace bubblescope {

/// Throws Error unless every rank's order is complete and nothing waits in a circle.
inline void require_sound(const Schedule& schedule) {
  build_graph(lower(schedule, Comm::Ideal), free_costs(schedule.placement));
}

}  // namespace bubblescope
