// One prediction, from a schedule's name to a report, timed phase by phase as `simulate` runs it.
#pragma once

#include <array>
#include <cstdint>

#include "sim/engine/dependency_graph.h"
#include "sim/schedule/catalogue.h"

namespace bubblescope::bench {

/// The workload: 1F1B whose messages travel for a while, as SimGrid's program runs it too.
constexpr std::int64_t kForwardUs = 100;
constexpr std::int64_t kBackwardUs = 200;
constexpr std::int64_t kMessageUs = 5;

/// N: 2pm ops + 2(p−1)m messages.
constexpr double ops_and_messages(Shape shape) {
  return (4.0 * shape.ranks - 2.0) * shape.microbatches;
}

constexpr int kPhases = 5;
constexpr std::array<const char*, kPhases> kPhaseNames = {"generate", "check+lower", "build_graph",
                                                          "simulate", "report"};
using Phases = std::array<double, kPhases>;  // ms
double total_ms(const Phases& phases);

struct PredictionFigures {
  Phases first = {};   ///< In a fresh process, with all page faults.
  Phases median = {};  ///< Of the repeats after it, phase by phase.
  double median_total_ms = 0;
  double best_total_ms = 0;
  std::int64_t step_time_ns = 0;
  double first_bytes = 0;     ///< By which the first prediction raised the peak of memory.
  double repeated_bytes = 0;  ///< The same after all repeats.
};

/// Predicts once and `repeats` times more, in a process of its own.
PredictionFigures measure_prediction(Shape shape, int repeats);

DependencyGraph workload_graph(Shape shape);

}  // namespace bubblescope::bench
