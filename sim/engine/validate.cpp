#include "sim/engine/validate.h"

#include "sim/costs/cost_model.h"
#include "sim/engine/dependency_graph.h"
#include "sim/program/lowering.h"

namespace bubblescope {

void validate(const Schedule& schedule) {
  build_graph(lower(schedule, Comm::Ideal), free_costs(schedule.placement));
}

}  // namespace bubblescope
