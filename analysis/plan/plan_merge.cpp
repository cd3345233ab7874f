#include "analysis/plan/plan_merge.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace bubblescope {

PlanResult merge_plans(PlanSpace space, const std::vector<PlanResult>& shards) {
  PlanResult whole{.space = std::move(space)};
  std::vector<PlanRow> beyond;
  for (const PlanResult& shard : shards) {
    whole.counts.configurations += shard.counts.configurations;
    whole.counts.simulated += shard.counts.simulated;
    whole.counts.excluded += shard.counts.excluded;
    whole.counts.infeasible += shard.counts.infeasible;
    whole.simulated.insert(whole.simulated.end(), shard.simulated.begin(), shard.simulated.end());
    beyond.insert(beyond.end(), shard.beyond.begin(), shard.beyond.end());
    const auto key = [](const PlanRow& row) {
      return std::tuple(row.figures.peak_memory, row.number);
    };
    if (shard.lightest && (!whole.lightest || key(*shard.lightest) < key(*whole.lightest)))
      whole.lightest = shard.lightest;
  }
  std::sort(whole.simulated.begin(), whole.simulated.end(), is_better);
  whole.front = front_of(whole.simulated);
  if (whole.simulated.empty())
    return whole;
  whole.lightest.reset();
  std::erase_if(beyond, [&](const PlanRow& row) {
    return row.figures.iteration_time >= whole.simulated.front().figures.iteration_time;
  });
  whole.beyond = front_of(std::move(beyond));
  return whole;
}

}  // namespace bubblescope
