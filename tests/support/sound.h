#pragma once

#include "sim/costs/cost_model.h"
#include "sim/engine/dependency_graph.h"
#include "sim/program/posting.h"

namespace bubblescope {

/// Throws Error unless every rank's order is complete and nothing waits in a circle.
inline void require_sound(const Schedule& schedule) {
  build_graph(post_messages(schedule, Comm::Ideal), free_costs(schedule.placement));
}

}  // namespace bubblescope
