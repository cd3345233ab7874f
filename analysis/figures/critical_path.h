// The chain of actions and messages that the step waits for: it lasts as long as the step.
#pragma once

#include <limits>
#include <vector>

#include "analysis/figures/cost_kinds.h"
#include "sim/engine/dependency_graph.h"
#include "sim/engine/timeline.h"

namespace bubblescope {

constexpr NodeId kNoNode = std::numeric_limits<NodeId>::max();

/// [node] The one that it started after: of those it waits for the last to arrive; kNoNode where it
/// waits for none. Of several that arrive at once it is the one with the fewest W behind it, in a B
/// or not, then the fewest I, F&B, hops and F: the path that stays the longest if W gets a little
/// shorter, and I much less so. Of what costs nothing, the most: it cannot get shorter.
struct CriticalTree {
  std::vector<NodeId> before;
  NodeId last = kNoNode;  ///< The last to end, by the same rule.
};
CriticalTree critical_tree(const DependencyGraph& graph, const Timeline& timeline);

struct CriticalPath {
  std::vector<NodeId> nodes;  ///< In the order of time. Ideal messages lie between two actions.
  /// How often each cost stands on the path; in a simulated timeline they add up to the step time.
  PerCost<std::int64_t> counts{};
};
CriticalPath critical_path(const DependencyGraph& graph, const CriticalTree& tree);

}  // namespace bubblescope
