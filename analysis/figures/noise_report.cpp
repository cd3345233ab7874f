#include "analysis/figures/noise_report.h"

#include <algorithm>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/base/statistics.h"
#include "sim/engine/in_edges.h"

namespace bubblescope {
namespace {

/// Adds to `on_rank` [rank] the time that the critical path spends in actions of each rank; of
/// several that end at once, the path goes back by the first.
void follow_critical_path(const DependencyGraph& graph, const Timeline& timeline,
                          std::vector<double>& on_rank, double scale) {
  const auto& spans = timeline.spans;
  NodeId node = 0;
  for (NodeId other = 1; other < graph.size(); ++other)
    if (spans[other].end > spans[node].end)
      node = other;
  for (;;) {
    if (!graph.is_message(node))
      on_rank[static_cast<std::size_t>(graph.rank()[node])] +=
          static_cast<double>(spans[node].length().count()) * scale;
    const EdgeId edge = last_edge(graph, timeline, node);
    if (edge == kNoEdge)
      return;
    node = graph.producer()[edge];
  }
}

/// The step time, and the time in which actions run, over all ranks.
struct StepTimes {
  Time step;
  Time busy;
};

StepTimes step_times(const DependencyGraph& graph, const Timeline& timeline) {
  Span step = kNoSpan;
  Time busy{};
  for (NodeId node = 0; node < graph.size(); ++node) {
    if (graph.is_message(node))
      continue;
    const Span& span = timeline.spans[node];
    busy += span.length();
    step.include(span);
  }
  return {step.length(), busy};
}

/// The most by which noise can stretch an action.
double largest_factor(const Noise& noise) {
  constexpr double kDeviations = 6;  // more are never drawn
  double factor = (1 + kDeviations * noise.jitter) * (1 + kDeviations * noise.rank_jitter) *
                  std::max(1.0, noise.hiccup_factor);
  double straggler = 1;
  for (const Straggler& each : noise.stragglers)
    straggler = std::max(straggler, each.factor);
  double measured = 1;
  for (const double each : noise.measured)
    measured = std::max(measured, each);
  return factor * straggler * measured;
}

/// Throws Error where a step could become too long for a Time.
void check_range(const DependencyGraph& graph, const Noise& noise) {
  constexpr double kMost = 4e18;  // ns
  double sum = 0;
  for (const Time duration : graph.duration())
    sum += static_cast<double>(duration.count());
  if (sum * largest_factor(noise) > kMost)
    throw Error(fmt::format("schedule {}: with so much noise the times cannot be added up",
                            graph.schedule().name));
}

}  // namespace

Percentiles percentiles(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) { return percentile(values, share); };
  double sum = 0;
  for (const double value : values)
    sum += value;
  return {sum / static_cast<double>(values.size()),
          at(0.05),
          at(0.5),
          at(0.95),
          at(0.99),
          values.back()};
}

NoiseReport study_noise(DependencyGraph& graph, const NoiseOptions& options,
                        IterationOptions iteration) {
  check_range(graph, options.noise);
  const std::span<Time> durations = graph.duration();
  const std::vector<Time> calm(durations.begin(), durations.end());
  const int ranks = graph.schedule().placement.ranks;
  NoiseReport report{.options = options,
                     .critical_share = std::vector<double>(static_cast<std::size_t>(ranks))};
  std::vector<double> steps;
  std::vector<double> iterations;
  std::vector<double> bubbles;
  for (int sample = 0; sample < options.samples; ++sample) {
    draw_durations(graph, calm, options.noise, options.seed, static_cast<std::uint64_t>(sample),
                   durations);
    const Timeline timeline = simulate(graph);
    const auto [step, busy] = step_times(graph, timeline);
    const auto length = static_cast<double>(step.count());
    steps.push_back(length);
    if (const auto end = end_iteration(graph, timeline, iteration))
      iterations.push_back(static_cast<double>(end->time.count()));
    bubbles.push_back(length > 0 ? 1 - static_cast<double>(busy.count()) / (ranks * length) : 0);
    if (length > 0)
      follow_critical_path(graph, timeline, report.critical_share, 1 / (length * options.samples));
  }
  std::copy(calm.begin(), calm.end(), durations.begin());
  report.step_time = percentiles(std::move(steps));
  if (!iterations.empty())
    report.iteration = percentiles(std::move(iterations));
  report.bubble_fraction = percentiles(std::move(bubbles));
  return report;
}

}  // namespace bubblescope
