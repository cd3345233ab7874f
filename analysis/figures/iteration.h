// What comes after the last backward: the gradients' reduction over data-parallel ranks, and the
// optimizer's step.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "sim/engine/dependency_graph.h"
#include "sim/engine/timeline.h"

namespace bubblescope {

/// When a stage's gradients are reduced.
enum class GradReduce : std::uint8_t {
  After,       ///< All of a rank's, once its last action has ended.
  Overlapped,  ///< Each beside the actions, once the stage's last W or B has ended.
};

/// What the optimizer waits for.
enum class OptimizerSync : std::uint8_t {
  Global,  ///< The reductions of all ranks, as for the norm of all gradients.
  None,    ///< Those of its rank: Zero Bubble's way, which validates afterwards (2401.10241, §4).
};

struct IterationOptions {
  GradReduce reduce = GradReduce::After;
  OptimizerSync sync = OptimizerSync::Global;
};

/// The end of an iteration on one rank, by the step's clock.
struct IterationEnd {
  Time reduced{};    ///< When its gradients are, or its last action's end where that is later.
  Time optimized{};  ///< When its weights are updated.
};

struct IterationReport {
  IterationOptions options = {};
  /// With Global: from the first action's start to the last update. With None ranks go on without
  /// waiting, so that the next iteration fills what the drain leaves open: the largest over ranks
  /// of its own first start to its own update.
  Time time{};
  Time exposed_reduce{};  ///< Largest over ranks, of `reduced` − its last action's end.
  std::vector<IterationEnd> per_rank = {};  ///< [rank]
};

/// When ranks begin and end, and when the last action of each stage that makes gradients does.
struct StepEnds {
  std::vector<Span> rank = {};   ///< [rank] First start to last end.
  std::vector<Span> stage = {};  ///< [stage] Its last W or B.
};

/// An iteration ends with these, once a step, after a stage's last backward.
struct UpdateTimes {
  Time grad_reduce{};
  Time optimizer{};
  std::int64_t layers = 1;
};

/// A rank's reductions run one after another, as their stages get ready; the gradients of a stage
/// that two pipes share are reduced together, once both are ready. None where the costs tell of
/// neither reduction nor optimizer.
std::optional<IterationReport> end_iteration(const DependencyGraph& graph, const Timeline& timeline,
                                             IterationOptions options);
/// Ends an iteration whose step is told by its ends alone; `updates` has an entry for each stage of
/// all pipes.
std::optional<IterationReport> end_iteration(const Placement& placement, const StepEnds& ends,
                                             std::span<const UpdateTimes> updates,
                                             IterationOptions options);

}  // namespace bubblescope
