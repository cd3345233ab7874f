// The step time as a function of the six costs, for a fixed order of actions and messages: the
// longest of all paths, hence convex, and linear wherever one path stays the longest.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "analysis/explain/linear_form.h"
#include "sim/engine/dependency_graph.h"

namespace bubblescope {

class StepFunction {
 public:
  /// What an action or a message takes for each unit of its cost.
  enum class Unit : std::uint8_t {
    Once,    ///< Its cost: all of a kind take equally long. Costs are in ns.
    Length,  ///< Its own length as it is. Costs are factors, 1 where all is as it is.
  };
  StepFunction(const DependencyGraph& graph, Unit unit);

  struct Longest {
    std::int64_t time;
    LinearForm form;  ///< Of a path so long; `time` is its product with the costs.
  };
  /// The costs and the times they make must be small enough to be added up.
  Longest at(const PerCost<std::int64_t>& costs) const;

 private:
  std::int64_t units(NodeId node) const { return unit_ == Unit::Once ? 1 : lengths_[node].count(); }

  const DependencyGraph& graph_;
  Unit unit_;
  std::span<const Time> lengths_;        // [node]
  FlatArray<CostKind> kind_;             // [node]
  mutable FlatArray<std::int64_t> end_;  // [node] of the last call
  mutable FlatArray<EdgeId> last_edge_;  // [node] by which what it waited for came last
};

/// What an F, I, W, B, F&B or message takes, 0 for what does not occur; none where two of one kind
/// differ.
std::optional<PerCost<std::int64_t>> common_costs(const DependencyGraph& graph);

}  // namespace bubblescope
