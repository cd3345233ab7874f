#include "sim/validate.h"

#include "sim/cost_model.h"
#include "sim/dependency_graph.h"
#include "sim/lowering.h"

namespace bubblescope {

void validate(const Schedule& schedule) {
  build_graph(lower(schedule, Comm::Ideal), free_costs(schedule.placement));
}

}  // namespace bubblescope
