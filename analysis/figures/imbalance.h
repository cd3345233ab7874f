// What uneven stages do: the step as it would be if each action took the mean of its kind.
#pragma once

#include "sim/engine/dependency_graph.h"
#include "sim/engine/timeline.h"

namespace bubblescope {

/// [node] When each would end, started by the same ones as now and as long after them; the mean of
/// F, I, W, B or F&B is over all ranks. Empty where all of a kind take equally long as it is.
FlatArray<Time> balanced_ends(const DependencyGraph& graph, const Timeline& timeline);

}  // namespace bubblescope
