// Layers laid over stages so that the busiest rank has the least work.
#pragma once

#include <cstddef>
#include <vector>

#include "sim/schedule/placement.h"
#include "sim/transformer/model_job.h"

namespace bubblescope {

/// Time for which parts of a model keep a rank busy, forward and backward of a micro-batch: its
/// embedding, each of its layers, all of its multi-token prediction, its head.
struct LayoutWeights {
  Time embedding{};
  std::vector<Time> layers = {};
  Time predictions{};
  Time head{};
};

/// Weights by the job's costs. Throws Error as `analytic_costs` does.
LayoutWeights layout_weights(const ModelJob& job);

/// How busy a layout keeps ranks and stages: the less, the better, ranks first.
struct LayoutLoad {
  Time rank{};   ///< The busiest one's: the sum of its stages, of both pipes where there are two.
  Time stage{};  ///< The longest one's.

  friend bool operator==(const LayoutLoad&, const LayoutLoad&) = default;
  friend bool operator<(const LayoutLoad& a, const LayoutLoad& b) {
    return a.rank != b.rank ? a.rank < b.rank : a.stage < b.stage;
  }
};
LayoutLoad load_of(const LayoutWeights& weights, const StageLayout& layout,
                   const Placement& placement);

struct BalancedLayouts {
  std::vector<StageLayout> layouts = {};  ///< The first has its longer stages first.
  /// No layout has less load. False where layers of more than one kind stand in turn: their mean
  /// counts then.
  bool is_exact = true;
};

/// Layouts of least load over the stages of a placement, as many as there are up to `most`. Each
/// stage holds something: the embedding begins the first, the head ends the last, all multi-token
/// prediction is in one. Throws Error where there are more stages than parts to hold.
BalancedLayouts balanced_layouts(const Model& model, const LayoutWeights& weights,
                                 const Placement& placement, std::size_t most);

/// The job's own layout, else the first of the balanced ones, or the even one, as it says. Throws
/// Error where there are too many stages.
StageLayout layout_over(const ModelJob& job, const Placement& placement);

}  // namespace bubblescope
