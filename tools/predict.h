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

/// What is predicted: everything but the schedule.
struct Scenario {
  Shape shape;
  CostSource costs;
  bool costs_by_hand = false;
  CostOptions cost_options;
  Comm comm = Comm::Ideal;
};

/// Reads and checks the words of the command line.
Scenario make_scenario(const ShapeOptions& shape, const CostCommandOptions& costs);

/// Throws Error for a schedule that cannot fit into memory, before the machine begins to swap.
void check_memory(const CatalogueEntry& entry, const Shape& shape);

/// Throws Error where the schedule's constraints, the costs or the machine's memory do not allow
/// it.
Prediction predict(const CatalogueEntry& entry, const Scenario& scenario, Progress& progress);

/// Tells on stderr what a reader of the figures should know about the costs.
void note_costs(const Scenario& scenario, const GlobalOptions& global);

}  // namespace bubblescope
