#include "analysis/plan/plan_details.h"

#include <algorithm>
#include <utility>

#include "analysis/figures/report.h"
#include "sim/base/parallel.h"
#include "sim/engine/simulate.h"
#include "sim/transformer/analytic_costs.h"

namespace bubblescope {

PlanDetails plan_details(PostedProgram program, const ModelJob& job) {
  const Placement placement = program.schedule.placement;
  CostModel costs(analytic_costs(job, placement.depth).source, placement, {});
  const DependencyGraph graph = build_graph(std::move(program), std::move(costs));
  const Report run = report(graph, simulate(graph));
  PlanDetails details;
  for (const RankReport& rank : run.per_rank) {
    details.exposed_comm += rank.exposed_comm;
    if (rank.peak->bytes() > details.weights + details.activations)
      details = {details.exposed_comm, rank.peak->weights, rank.peak->activations};
  }
  details.exposed_comm /= placement.ranks;
  return details;
}

std::vector<PlanDetails> plan_details(const PlanQuestion& question, const PlanSpace& space,
                                      const std::vector<std::uint32_t>& numbers, int threads) {
  std::vector<PlanDetails> result(numbers.size());
  for_each_index(numbers.size(), threads, [&](std::size_t i) {
    const PlanSplit& split = space.split_of(numbers[i]);
    const CatalogueEntry& entry =
        *question.choices.schedules[space.configurations[numbers[i]].schedule];
    result[i] =
        plan_details(program_of(question, split, entry), space.job_of(question, numbers[i]));
  });
  return result;
}

}  // namespace bubblescope
