#include "analysis/plan/space_bounds.h"

#include <algorithm>
#include <deque>
#include <numeric>
#include <optional>
#include <utility>

#include "sim/base/parallel.h"
#include "sim/transformer/balanced_layout.h"

namespace bubblescope {
namespace {

/// A split's balanced layouts, each placement's told once.
class BalancedJob {
 public:
  explicit BalancedJob(const ModelJob& job) : job_(job), weights_(layout_weights(job)) {}

  const StageLayout& layout(const Placement& placement) {
    const auto found = std::find_if(known_.begin(), known_.end(),
                                    [&](const auto& each) { return *each.first == placement; });
    if (found != known_.end())
      return found->second;
    return known_
        .emplace_back(&placement,
                      balanced_layouts(job_.model, weights_, placement, 1).layouts.front())
        .second;
  }

 private:
  const ModelJob& job_;
  LayoutWeights weights_;
  std::deque<std::pair<const Placement*, StageLayout>> known_ = {};
};

class SpaceBounds {
 public:
  SpaceBounds(const PlanQuestion& question, const PlanSpace& space, Bytes most)
      : question_(question), space_(space), most_(most), bounds_(space.configurations.size()) {}

  std::vector<PlanBound> run(PlanShard shard, int threads,
                             const std::function<bool()>& is_stopped) {
    const auto& configurations = space_.configurations;
    std::vector<std::size_t> first;  // [split] of its configurations
    for (std::size_t number = 0; number < configurations.size(); ++number)
      if (number == 0 || configurations[number].split != configurations[number - 1].split)
        first.push_back(number);
    first.push_back(configurations.size());
    for_each_index(first.size() - 1, threads, [&](std::size_t i) {
      if (configurations[first[i]].split % shard.shards == shard.shard &&
          (!is_stopped || !is_stopped()))
        bound_split(first[i], first[i + 1]);
    });
    return std::move(bounds_);
  }

 private:
  /// All configurations of a split, whose costs are told once.
  void bound_split(std::size_t first, std::size_t end) {
    const PlanSplit& split = space_.splits[space_.configurations[first].split];
    ModelJob even = question_.job;
    even.is_balanced = false;
    const PlanQuestion evenly{
        .job = even, .divides_sequence_for_experts = question_.divides_sequence_for_experts};
    ModelJob job = job_of(evenly, split, loop_placement({split.ranks, split.chunks}));
    const std::vector<Bytes> weights = weights_by_stage(job, *job.layout);
    // A rank holds the mean at least.
    const Bytes mean = std::accumulate(weights.begin(), weights.end(), Bytes{0}) / split.ranks;
    if (mean > most_) {
      for (std::size_t number = first; number < end; ++number)
        bounds_[number] = {Time::max(), mean};
      return;
    }
    std::optional<BalancedJob> balanced;
    if (question_.job.is_balanced)
      balanced.emplace(job);
    std::deque<std::pair<StageLayout, SplitCosts>> known;
    for (auto number = static_cast<std::uint32_t>(first); number < end; ++number) {
      const OrderTraits& traits = space_.traits_of(number);
      if (balanced)
        job.layout = balanced->layout(traits.placement);
      auto costs = std::find_if(known.begin(), known.end(),
                                [&](const auto& each) { return each.first == *job.layout; });
      if (costs == known.end())
        costs = known.emplace(known.end(), *job.layout, SplitCosts(job, *job.layout));
      const CatalogueEntry& entry =
          *question_.choices.schedules[space_.configurations[number].schedule];
      bounds_[number] = plan_bound(traits, costs->second, entry, split, question_.iteration);
    }
  }

  const PlanQuestion& question_;
  const PlanSpace& space_;
  Bytes most_;
  std::vector<PlanBound> bounds_;
};

}  // namespace

std::vector<PlanBound> space_bounds(const PlanQuestion& question, const PlanSpace& space,
                                    Bytes most, PlanShard shard, int threads,
                                    const std::function<bool()>& is_stopped) {
  return SpaceBounds(question, space, most).run(shard, threads, is_stopped);
}

}  // namespace bubblescope
