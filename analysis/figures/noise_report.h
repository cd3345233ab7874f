// How steps differ where durations do, and which rank's slowness makes them long.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "analysis/figures/iteration.h"
#include "sim/engine/dependency_graph.h"
#include "sim/engine/noise.h"

namespace bubblescope {

struct NoiseOptions {
  Noise noise = {};
  std::uint64_t seed = 1;
  int samples = 1000;
};

/// Of a figure over all samples: its mean, and the least values that so many percent of the samples
/// do not pass.
struct Percentiles {
  double mean = 0;
  double p5 = 0;
  double p50 = 0;
  double p95 = 0;
  double p99 = 0;
  double max = 0;
};

/// At least one of `values`.
Percentiles percentiles(std::vector<double> values);

struct NoiseReport {
  NoiseOptions options = {};
  Percentiles step_time = {};                 ///< ns
  std::optional<Percentiles> iteration = {};  ///< ns, where costs tell what comes after the step.
  Percentiles bubble_fraction = {};           ///< 0 to 1
  /// [rank] The mean share of the step in which the critical path runs on the rank: one percent off
  /// all its actions takes so many hundredths of a percent off the step.
  std::vector<double> critical_share = {};
};

/// Simulates samples of the graph; its durations are afterwards as they were. Only actions differ:
/// reductions and optimizer steps last as the costs say.
NoiseReport study_noise(DependencyGraph& graph, const NoiseOptions& options,
                        IterationOptions iteration = {});

}  // namespace bubblescope
