#include "analysis/plan/quickest_layout.h"

#include "analysis/plan/compiled_order.h"
#include "sim/transformer/balanced_layout.h"

namespace bubblescope {

StageLayout quickest_layout(const ModelJob& job, const PostedProgram& program,
                            IterationOptions options) {
  const Placement& placement = program.schedule.placement;
  const std::vector<StageLayout> layouts =
      balanced_layouts(job.model, layout_weights(job), placement, kMostLayoutTies).layouts;
  if (layouts.size() == 1)
    return layouts.front();
  const CompiledOrder order(program);
  Time least = Time::max();
  const StageLayout* best = nullptr;
  for (const StageLayout& layout : layouts) {
    SplitCosts costs(job, layout);
    const Time time = order.run(costs, options).iteration_time;
    if (time < least)
      best = &layout;
    least = std::min(least, time);
  }
  return *best;
}

}  // namespace bubblescope
