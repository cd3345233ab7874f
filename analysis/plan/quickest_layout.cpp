#include "analysis/plan/quickest_layout.h"

#include "analysis/figures/format.h"
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

std::optional<BetterLayout> better_layout(const ModelJob& job, const PostedProgram& program,
                                          IterationOptions options, Time time, Bytes memory_limit) {
  constexpr double kLeastSaving = 0.02;
  ModelJob balanced = job;
  balanced.layout.reset();
  balanced.is_balanced = true;
  BetterLayout better{.layout = layout_over(balanced, program.schedule.placement)};
  SplitCosts costs(job, better.layout);
  const PlanFigures figures = CompiledOrder(program).run(costs, options);
  better.saving = 1 - ratio(figures.iteration_time, time);
  if (better.saving < kLeastSaving || figures.peak_memory > memory_limit)
    return std::nullopt;
  return better;
}

}  // namespace bubblescope
