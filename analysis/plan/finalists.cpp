#include "analysis/plan/finalists.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "sim/base/parallel.h"
#include "sim/search/automatic.h"
#include "sim/transformer/analytic_costs.h"

namespace bubblescope {
namespace {

/// The best divisions, each once, whatever their chunks.
std::vector<PlanSplit> best_divisions(const PlanResult& result, std::size_t known) {
  std::vector<PlanSplit> divisions;
  for (std::size_t i = 0; i < std::min(known, result.simulated.size()); ++i) {
    PlanSplit division = result.space.split_of(result.simulated[i].number);
    division.chunks = 1;
    if (division.ranks > 1 &&
        std::find(divisions.begin(), divisions.end(), division) == divisions.end())
      divisions.push_back(division);
    if (divisions.size() == kFinalists)
      break;
  }
  return divisions;
}

/// A schedule that is to be made, and what came of it.
struct Finalist {
  PlanSplit split;
  std::uint32_t schedule;
  OrderTraits traits = {};
  std::optional<std::pair<PlanFigures, PlanDetails>> made = {};
};

bool can_be_laid(const PlanQuestion& question, const PlanSplit& split) {
  const auto& layout = question.job.layout;
  return layout ? layout->size() == static_cast<std::size_t>(split.depth())
                : split.depth() <= question.job.model.depth();
}

void make(const PlanQuestion& question, Finalist& finalist) {
  const CatalogueEntry& entry = *question.choices.schedules[finalist.schedule];
  const PlanSplit& split = finalist.split;
  const Placement placement = entry.automatic->placement(split.ranks);
  const ModelJob job = job_of(question, split, placement);
  const CostModel costs(analytic_costs(job, placement.depth).source, placement, {});
  const MemoryLimit memory = {.bytes = question.memory_limit};
  if (memory_obstacle(entry, split.ranks, costs, memory))
    return;
  const PostedProgram program =
      post_messages(make_automatic(entry, split.shape(), costs, {.memory = memory}).schedule,
                    question.comm.of(entry, split.chunks));
  SplitCosts split_costs(job, *job.layout);
  const PlanFigures figures = CompiledOrder(program).run(split_costs, question.iteration);
  if (figures.peak_memory > question.memory_limit)
    return;
  finalist.traits.placement = placement;
  finalist.made = {figures, plan_details(program, job)};
}

}  // namespace

FinalistPlan search_finalists(const PlanQuestion& question, const PlanResult& result,
                              std::size_t known, int threads,
                              const std::function<bool()>& is_stopped) {
  FinalistPlan plan{.question = question};
  plan.question.choices.schedules = question.choices.searched;
  std::vector<Finalist> finalists;
  for (PlanSplit split : best_divisions(result, known))
    for (std::uint32_t i = 0; i < plan.question.choices.schedules.size(); ++i) {
      const CatalogueEntry& entry = *plan.question.choices.schedules[i];
      split.chunks = entry.chunks;
      if (!find_misfit(entry, split.shape()) && can_be_laid(question, split))
        finalists.push_back({split, i});
    }
  for_each_index(finalists.size(), threads, [&](std::size_t i) {
    if (!is_stopped || !is_stopped())
      make(plan.question, finalists[i]);
  });
  std::erase_if(finalists, [](const Finalist& each) { return !each.made; });
  std::stable_sort(finalists.begin(), finalists.end(), [](const Finalist& a, const Finalist& b) {
    return is_better({0, a.made->first}, {0, b.made->first});
  });
  for (const Finalist& each : finalists) {
    const auto number = static_cast<std::uint32_t>(plan.rows.size());
    plan.space.splits.push_back(each.split);
    plan.space.configurations.push_back({number, each.schedule});
    plan.space.traits[{each.schedule, each.split.ranks, each.split.chunks}] = each.traits;
    plan.rows.push_back({number, each.made->first});
    plan.details.push_back(each.made->second);
  }
  return plan;
}

}  // namespace bubblescope
