#include "analysis/plan/plan_bounds.h"

#include <algorithm>
#include <limits>

namespace bubblescope {
namespace {

/// Rounding may make phases shorter by this part where they are slowed down beside others.
constexpr double kRounding = 0.999;

/// The least that ops of one stage and their way to the next can take.
struct LeastTimes {
  Time forward{};
  Time backward{};    // all of it
  Time input_grad{};  // until the gradient of the input is there
};

LeastTimes least_times(const StageFigures& stage, const OrderTraits& traits) {
  const auto at = [&](OpKind kind) { return stage.times[static_cast<std::size_t>(kind)]; };
  const auto least = [](Time work) {
    return Time(static_cast<std::int64_t>(static_cast<double>(work.count()) * kRounding));
  };
  if (traits.has_pairs) {
    const Time back = least(stage.backward_work);
    return {least(stage.forward_work), back,
            traits.has_split_backwards ? std::min(back, at(OpKind::BackwardInput)) : back};
  }
  const Time split = at(OpKind::BackwardInput) + at(OpKind::BackwardWeight);
  if (!traits.has_split_backwards)
    return {at(OpKind::Forward), at(OpKind::Backward), at(OpKind::Backward)};
  return {at(OpKind::Forward), std::min(at(OpKind::Backward), split),
          std::min(at(OpKind::Backward), at(OpKind::BackwardInput))};
}

/// A stage waits so long before its first forward, and so much follows its last gradient.
struct Ways {
  std::vector<Time> forward = {};   // [stage]
  std::vector<Time> backward = {};  // [stage]
};

Ways ways(const Placement& placement, const SplitCosts& costs,
          const std::vector<LeastTimes>& least) {
  Ways result;
  for (Stage stage = 0; stage < placement.stages(); ++stage) {
    const auto position = static_cast<std::size_t>(stage % placement.depth);
    if (position == 0) {
      result.forward.emplace_back();
      result.backward.emplace_back();
      continue;
    }
    const LeastTimes& before = least[position - 1];
    const Time hop =
        costs.hop(placement.rank(stage - 1), placement.rank(stage), costs[position - 1].message);
    result.forward.push_back(result.forward.back() + before.forward + hop);
    result.backward.push_back(result.backward.back() + before.input_grad + hop);
  }
  return result;
}

/// One rank cannot beat these times.
struct RankBound {
  Time fill = Time::max();
  Time drain = Time::max();
  Time work{};            // all its actions
  Time until_gradient{};  // all but W's
  Time reduce{};
  Time optimizer{};
};

Bytes memory_bound(const OrderTraits& traits, const SplitCosts& costs, const CatalogueEntry& entry,
                   const PlanSplit& split) {
  Bytes fullest = 0;
  Bytes lightest = std::numeric_limits<Bytes>::max();
  Bytes smallest = std::numeric_limits<Bytes>::max();
  for (const std::vector<Stage>& stages : traits.stages_of_rank) {
    Bytes weights = 0;
    Bytes first = std::numeric_limits<Bytes>::max();
    for (const Stage stage : stages) {
      const StageFigures& of_stage =
          costs[static_cast<std::size_t>(stage % traits.placement.depth)];
      weights += of_stage.weights;
      first = std::min(first, of_stage.activation);
      smallest = std::min({smallest, of_stage.activation,
                           traits.has_split_backwards ? of_stage.rest : of_stage.activation});
    }
    fullest = std::max(fullest, weights + first);
    lightest = std::min(lightest, weights);
  }
  const Shape shape = {
      .ranks = split.ranks, .microbatches = split.microbatches, .chunks = split.chunks};
  const std::int64_t live = entry.peak.of == nullptr ? 1 : entry.peak.of(shape);
  return std::max(fullest, lightest + live * smallest);
}

}  // namespace

OrderTraits order_traits(const CatalogueEntry& entry, Shape shape) {
  Shape few = shape;
  few.microbatches = std::min(shape.microbatches, 4 * shape.ranks);
  if (const auto misfit = find_misfit(entry, few))
    few = misfit->nearest;
  if (few.ranks != shape.ranks || few.chunks != shape.chunks || find_misfit(entry, few))
    few = shape;
  const Schedule schedule = make_schedule(entry, few);
  OrderTraits traits{.placement = schedule.placement};
  traits.stages_of_rank.resize(static_cast<std::size_t>(shape.ranks));
  for (Stage stage = 0; stage < traits.placement.stages(); ++stage)
    traits.stages_of_rank[static_cast<std::size_t>(traits.placement.rank(stage))].push_back(stage);
  for (const Action& action : schedule.actions) {
    traits.has_pairs = traits.has_pairs || action.is_pair();
    traits.has_split_backwards =
        traits.has_split_backwards || action.op().kind() == OpKind::BackwardInput;
  }
  return traits;
}

PlanBound plan_bound(const OrderTraits& traits, const SplitCosts& costs,
                     const CatalogueEntry& entry, const PlanSplit& split,
                     IterationOptions options) {
  const Placement& placement = traits.placement;
  std::vector<LeastTimes> least;
  least.reserve(static_cast<std::size_t>(placement.depth));
  for (int position = 0; position < placement.depth; ++position)
    least.push_back(least_times(costs[static_cast<std::size_t>(position)], traits));
  const Ways way = ways(placement, costs, least);
  const int each = split.microbatches / placement.pipes;
  const bool is_global = options.sync == OptimizerSync::Global;
  PlanBound bound{.memory = memory_bound(traits, costs, entry, split)};
  Time reduced{};
  Time optimizer{};
  for (const std::vector<Stage>& stages : traits.stages_of_rank) {
    RankBound rank;
    for (const Stage stage : stages) {
      const auto position = static_cast<std::size_t>(stage % placement.depth);
      const LeastTimes& times = least[position];
      rank.fill = std::min(rank.fill, way.forward[static_cast<std::size_t>(stage)]);
      rank.drain = std::min(rank.drain, way.backward[static_cast<std::size_t>(stage)]);
      rank.work += each * (times.forward + times.backward);
      rank.until_gradient += each * (times.forward + times.input_grad);
      rank.optimizer += costs[position].optimizer;
      if (options.reduce == GradReduce::After)
        rank.reduce += costs[position].grad_reduce;
    }
    if (is_global) {
      reduced = std::max({reduced, rank.fill + rank.work + rank.reduce,
                          rank.fill + rank.until_gradient + rank.drain});
      optimizer = std::max(optimizer, rank.optimizer);
    } else {
      reduced = std::max(reduced, rank.work + rank.reduce + rank.optimizer);
    }
  }
  bound.time = reduced + optimizer;
  return bound;
}

}  // namespace bubblescope
