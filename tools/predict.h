// From a schedule's name, a shape and costs to a predicted Timeline: the way all subcommands go.
#pragma once

#include <string>

#include "sim/dependency_graph.h"
#include "sim/simulate.h"
#include "tools/options.h"
#include "tools/progress.h"

namespace bubblescope {

struct Prediction {
  DependencyGraph graph;
  Timeline timeline;
};

/// Throws Error where the schedule's constraints, the costs or the machine's memory do not allow it.
Prediction predict(const CatalogueEntry& entry, const ShapeOptions& shape, const CostSource& costs,
                   const CostCommandOptions& options, Progress& progress);

/// Tells on stderr what a reader of the figures should know about the costs.
void note_costs(const CostSource& costs, const Shape& shape, const GlobalOptions& global);

}  // namespace bubblescope
