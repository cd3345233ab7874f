#include "analysis/plan/plan_waves.h"

namespace bubblescope {

PlanFinding PlanWaves::find(std::uint32_t number, const PlanRule& rule) {
  const PlanSplit& split = split_of(number);
  const auto order = orders_.get(schedule_of(number), split);
  if (order == nullptr)
    return {.state = PlanState::Infeasible};
  const ModelJob job = space_.job_of(question_, number);
  SplitCosts costs(job, *job.layout);
  PlanFinding finding{.state = PlanState::Infeasible,
                      .figures = {.peak_memory = order->peak_memory(costs)}};
  if (finding.figures.peak_memory > rule.limit)
    return finding;
  if (rule.excludes(bounds_[number].time, finding.figures.peak_memory))
    finding.state = PlanState::Excluded;
  else
    finding = {PlanState::Simulated, order->run(costs, question_.iteration)};
  return finding;
}

/// Configurations that share an order stand beside one another, so that no two threads wait for
/// one.
std::vector<PlanFinding> PlanWaves::run_wave(std::vector<std::uint32_t>& wave,
                                             const PlanRule& rule) {
  const auto key = [&](std::uint32_t number) {
    const PlanSplit& split = split_of(number);
    return std::tuple(space_.configurations[number].schedule, split.ranks, split.microbatches,
                      split.chunks, number);
  };
  std::sort(wave.begin(), wave.end(),
            [&](std::uint32_t a, std::uint32_t b) { return key(a) < key(b); });
  std::vector<PlanFinding> findings(wave.size());
  for_each_index(wave.size(), threads_, [&](std::size_t i) { findings[i] = find(wave[i], rule); });
  orders_.trim();
  return findings;
}

}  // namespace bubblescope
