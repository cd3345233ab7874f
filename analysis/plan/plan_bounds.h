// Bounds that a configuration cannot beat, told without its order.
#pragma once

#include <cstdint>
#include <vector>

#include "analysis/plan/plan_question.h"
#include "analysis/plan/split_costs.h"

namespace bubblescope {

/// These hold for a schedule at p and v. With few micro-batches it may have neither pairs nor split
/// backwards where it has them with more.
struct OrderTraits {
  Placement placement = {};
  std::vector<std::vector<Stage>> stages_of_rank = {};  ///< [rank]
  bool has_pairs = false;                               ///< F&B pairs.
  bool has_split_backwards = false;                     ///< I and W.
};

/// Reads them off an order with few micro-batches. `shape` fits the schedule, and v is set.
OrderTraits order_traits(const CatalogueEntry& entry, Shape shape);

/// No run of the configuration takes less than `time` for an iteration, or holds less than `memory`
/// on its fullest rank.
struct PlanBound {
  Time time{};
  Bytes memory = 0;
};

/// A rank's first forward waits for those of the stages before it; then the rank executes all its
/// actions, or all but W's, and its last backward's gradient goes back to the first stage. Then
/// gradients are reduced and weights updated. The fullest rank holds as many activations as the
/// catalogue says, each at least as large as the smallest.
PlanBound plan_bound(const OrderTraits& traits, const SplitCosts& costs,
                     const CatalogueEntry& entry, const PlanSplit& split, IterationOptions options);

}  // namespace bubblescope
