// From a schedule's name and a shape, or a program, and costs to a predicted Timeline: the way all
// subcommands go.
#pragma once

#include <optional>
#include <string>

#include "analysis/figures/analysis.h"
#include "analysis/plan/quickest_layout.h"
#include "backend_cuda/replay/measured_links.h"
#include "sim/engine/dependency_graph.h"
#include "tools/options/cost_options.h"
#include "tools/options/output_options.h"
#include "tools/options/shape_options.h"
#include "tools/progress.h"

namespace bubblescope {

struct Prediction {
  DependencyGraph graph;
  Timeline timeline;
  std::optional<SearchFigures> search;  ///< Of an automatic schedule.
  std::optional<NoiseReport> noise;     ///< Where the scenario has noise.
  IterationOptions iteration = {};
  std::optional<StepWork> work = {};  ///< Where the costs come from a model.

  /// It has references to the prediction.
  Analysis analysis() const&;
  Analysis analysis() && = delete;
};

/// What is predicted: everything but the schedule.
struct Scenario {
  Shape shape;
  CostSource costs;  ///< Where they come from a model, its name alone.
  std::optional<ModelJob> job = {};
  std::optional<MeasuredLinks> links = {};  ///< Of a machine, instead of what the costs say.
  bool costs_by_hand = false;
  CostOptions cost_options;
  CommOptions comm;
  AutomaticOptions automatic;  ///< Its memory is the limit that was asked for.
  std::optional<NoiseOptions> noise = {};
  IterationOptions iteration = {};

  /// What fits: what was asked for, else the memory of a model's hardware.
  MemoryLimit limit() const;
  /// Automatic schedules are made for these: tensors have less than the memory of a device.
  AutomaticOptions search() const;
  /// Whether messages contend for links.
  bool shares_links() const;
  /// For the stages of a placement. Throws Error where a model cannot be laid over so many.
  CostSource costs_over(const Placement& placement) const;
  /// Costs for a pipe of so many stages, one a rank.
  CostSource costs_over(int depth) const {
    return costs_over(loop_placement({.ranks = depth, .chunks = 1}));
  }
};

/// Why the costs cannot be laid over such a pipe; none where they can.
std::optional<std::string> find_obstacle(const Scenario& scenario, PipeShape pipe);

/// The shape that is asked for, with what --global-batch comes to; a program's is `present`.
Shape shape_of(const ShapeOptions& shape, const CostCommandOptions& costs,
               const Shape& present = {});

/// Reads the costs that the options name. `measured` costs stand for them where they are given.
Scenario make_scenario(const Shape& shape, const CostCommandOptions& costs,
                       const LimitOptions& limits, std::optional<CostSource> measured = {});

/// Why the schedule cannot be had: a misfit of the shape, costs for another number of stages, or
/// too low a memory limit; none where it can.
std::optional<std::string> find_obstacle(const CatalogueEntry& entry, const Scenario& scenario);

/// Throws UsageError for more ops than can be numbered, Error for a schedule that cannot fit into
/// memory, before the machine begins to swap.
void check_size(const CatalogueEntry& entry, const Shape& shape, Comm comm,
                bool shares_links = false);

/// A schedule with its communication, made for the scenario's costs where it is automatic.
struct ScheduledProgram {
  PostedProgram program;
  std::optional<SearchFigures> search = {};
};
ScheduledProgram schedule_for(const CatalogueEntry& entry, const Scenario& scenario);
/// The same, once its size is checked, with a word on what is done.
ScheduledProgram schedule_for(const CatalogueEntry& entry, const Scenario& scenario,
                              Progress& progress);

/// The scenario's costs over the program's stages. Throws UsageError where they are given by hand
/// and too large to be added up.
CostModel costs_for(const PostedProgram& program, const Scenario& scenario);

/// Throws Error where the schedule's constraints, the costs or the machine's memory do not allow
/// it.
/// The program's shape and messages count, and not those of the scenario.
Prediction predict(ScheduledProgram scheduled, const Scenario& scenario, Progress& progress);

/// Whether costs come from a model whose layers are laid evenly, and nothing else changes them.
bool can_be_laid_better(const Scenario& scenario);
/// A layout of layers by their load that takes 2 % less than `time`; the scenario can be laid
/// better.
std::optional<BetterLayout> better_layout(const PostedProgram& program, const Scenario& scenario,
                                          Time time);

/// Tells on stderr what a reader of the figures should know about the costs.
void note_costs(const Scenario& scenario, const GlobalOptions& global);

}  // namespace bubblescope
