#include "analysis/plan/space_bounds.h"

#include <map>
#include <numeric>
#include <tuple>

#include "sim/base/parallel.h"

namespace bubblescope {
namespace {

class SpaceBounds {
 public:
  SpaceBounds(const PlanQuestion& question, const PlanSpace& space)
      : question_(question), space_(space), bounds_(space.configurations.size()) {
    for (const PlanSpace::Configuration& each : space.configurations) {
      const CatalogueEntry& entry = *question.choices.schedules[each.schedule];
      const PlanSplit& split = space.splits[each.split];
      const Key key = {&entry, split.ranks, split.chunks};
      if (!traits_.contains(key))
        traits_[key] = order_traits(
            entry,
            {.ranks = split.ranks, .microbatches = split.microbatches, .chunks = split.chunks});
    }
  }

  std::vector<PlanBound> run(int threads, const std::function<bool()>& is_stopped) {
    const auto& configurations = space_.configurations;
    std::vector<std::size_t> first;  // [split] of its configurations
    for (std::size_t number = 0; number < configurations.size(); ++number)
      if (number == 0 || configurations[number].split != configurations[number - 1].split)
        first.push_back(number);
    first.push_back(configurations.size());
    for_each_index(first.size() - 1, threads, [&](std::size_t split) {
      if (!is_stopped || !is_stopped())
        bound_split(first[split], first[split + 1]);
    });
    return std::move(bounds_);
  }

 private:
  using Key = std::tuple<const CatalogueEntry*, int, int>;  // p, v

  /// All configurations of a split, whose costs are told once.
  void bound_split(std::size_t first, std::size_t end) {
    const PlanSplit& split = space_.splits[space_.configurations[first].split];
    const ModelJob job = job_of(question_, split);
    const std::vector<Bytes> weights = weights_by_stage(job, *job.layout);
    // A rank holds the mean at least.
    const Bytes mean = std::accumulate(weights.begin(), weights.end(), Bytes{0}) / split.ranks;
    if (mean > kMostBeyond * question_.memory_limit) {
      for (std::size_t number = first; number < end; ++number)
        bounds_[number] = {Time::max(), mean};
      return;
    }
    const SplitCosts costs(job, *job.layout);
    for (std::size_t number = first; number < end; ++number) {
      const CatalogueEntry& entry =
          *question_.choices.schedules[space_.configurations[number].schedule];
      bounds_[number] = plan_bound(traits_.at({&entry, split.ranks, split.chunks}), costs, entry,
                                   split, question_.iteration);
    }
  }

  const PlanQuestion& question_;
  const PlanSpace& space_;
  std::vector<PlanBound> bounds_;
  std::map<Key, OrderTraits> traits_ = {};
};

}  // namespace

std::vector<PlanBound> space_bounds(const PlanQuestion& question, const PlanSpace& space,
                                    int threads, const std::function<bool()>& is_stopped) {
  return SpaceBounds(question, space).run(threads, is_stopped);
}

}  // namespace bubblescope
