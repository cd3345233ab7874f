#include "analysis/figures/timeline_comparison.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "sim/base/statistics.h"

namespace bubblescope {
namespace {

constexpr double kPoints = 100;

/// When the first action starts.
Time origin(const DependencyGraph& graph, const Timeline& timeline) {
  Time first = Time::max();
  for (NodeId node = 0; node < graph.size(); ++node)
    if (!graph.is_message(node))
      first = std::min(first, timeline.spans[node].start);
  return first;
}

double relative_error(Time measured, Time predicted) {
  if (measured == predicted)
    return 0;
  if (predicted == Time::zero())
    return std::numeric_limits<double>::infinity();
  return static_cast<double>((measured - predicted).count()) /
         static_cast<double>(predicted.count());
}

StartErrors start_errors(const DependencyGraph& graph, const Timeline& predicted,
                         const Timeline& measured) {
  const Time shift = origin(graph, measured) - origin(graph, predicted);
  StartErrors out;
  std::vector<Time> errors;
  errors.reserve(graph.schedule().actions.size());
  for (NodeId node = 0; node < graph.size(); ++node) {
    if (graph.is_message(node))
      continue;
    const Time late = measured.spans[node].start - predicted.spans[node].start - shift;
    errors.push_back(std::chrono::abs(late));
    if (errors.size() == 1 || errors.back() > out.max) {
      out.max = errors.back();
      out.worst_action = to_string(graph.action(node));
      out.worst_rank = graph.rank()[node];
    }
  }
  if (errors.empty())
    return out;
  std::sort(errors.begin(), errors.end());
  out.p50 = percentile(errors, 0.50);
  out.p95 = percentile(errors, 0.95);
  return out;
}

}  // namespace

double bubble_fraction(const Report& report, Rank rank) {
  const Time idle = report.per_rank[static_cast<std::size_t>(rank)].idle;
  return report.step_time > Time::zero()
             ? static_cast<double>(idle.count()) / static_cast<double>(report.step_time.count())
             : 0.0;
}

double TimelineComparison::rank_bubble_error_points(Rank rank) const {
  return kPoints * (bubble_fraction(measured, rank) - bubble_fraction(predicted, rank));
}

TimelineComparison compare_timelines(const Analysis& predicted, const Analysis& measured) {
  TimelineComparison out{
      .predicted = predicted.report,
      .measured = measured.report,
      .start_errors = start_errors(predicted.graph, predicted.timeline, measured.timeline)};
  out.step_error = relative_error(out.measured.step_time, out.predicted.step_time);
  out.bubble_error_points =
      kPoints * (out.measured.bubble_fraction - out.predicted.bubble_fraction);
  return out;
}

}  // namespace bubblescope
