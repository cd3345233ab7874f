// From steps that were measured to costs: what each stage takes, what a hop adds, and how well a
// simulation with them gives the steps back.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "analysis/calibration/measured_run.h"
#include "sim/costs/cost_model.h"

namespace bubblescope {

/// How long one kind of action took on one stage of a pipe, over all steps and micro-batches.
struct DurationFigures {
  Stage stage = 0;
  std::string kind = {};  ///< "F", "I", "W", "B" or "F&B", which counts for both its stages.
  std::size_t count = 0;
  Time q1{}, median{}, q3{};  ///< Quantiles, linear between neighbours.
  /// Those farther from the nearer quartile than three times q3 − q1, and than 5 % of the median.
  std::size_t outliers = 0;
  Time farthest{};                  ///< Of the outliers that which is farthest from the median, and
  std::string farthest_place = {};  ///< where: "iteration 16, 3F5".
};

/// A step beside its simulations without latency; errors are simulated / measured − 1.
struct StepReplay {
  std::string name = {};
  Time measured{};
  Time by_actions{};  ///< Each action takes what it took in this step.
  Time by_means{};    ///< … what its kind took on its stage on average in this step.
  /// Farther from the median step than five times the median of such distances, and than 2 %.
  bool is_outlier = false;

  double error_by_actions() const;
  double error_by_means() const;
};

struct MeasuredCosts {
  std::string source = {};
  std::string schedule = {};
  int ranks = 0;
  int microbatches = 0;
  int chunks = 0;
  Comm comm = {};
  bool has_common_clock = false;
  std::vector<std::string> left_out = {};       ///< Names of the steps that warm up.
  std::vector<DurationFigures> durations = {};  ///< By stage, then kind.
  std::vector<StepReplay> steps = {};
  Time measured{};              ///< Median of the steps.
  double error_by_actions = 0;  ///< Medians over the steps.
  double error_by_means = 0;
  Time hop_by_actions{};  ///< Median over the steps of the latency that fits each by its actions.
  Time by_medians{};      ///< The simulation with each stage's medians and no latency, and
  Time by_costs{};        ///< with the latency of `costs`.
  bool is_backward_split = false;  ///< Only B was measured: `costs` take half of it for I.
  /// Stage by stage, with the latency that brings the simulation closest to `measured`.
  CostSource costs = {};

  double error_by_medians() const;
  double error_by_costs() const;
};

/// `warm_ups` are left out at the beginning; none: as many as the run knows of, if more remain.
/// Throws Error where no step is left, or a stage never ran a forward or a backward by itself.
MeasuredCosts measure_costs(const MeasuredRun& run, std::optional<int> warm_ups = {});

}  // namespace bubblescope
