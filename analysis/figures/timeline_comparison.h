// What was predicted beside what was measured.
#pragma once

#include <string>

#include "analysis/figures/analysis.h"

namespace bubblescope {

/// |measured − predicted start| over all actions, both timelines counted from their first action.
/// A percentile is the smallest error that so many of the actions do not pass.
struct StartErrors {
  Time p50{};
  Time p95{};
  Time max{};
  std::string worst_action = {};  ///< The first that has `max`: "1F2".
  Rank worst_rank = 0;
};

struct TimelineComparison {
  Report predicted = {};
  Report measured = {};
  double step_error = 0;           ///< measured / predicted step time − 1
  double bubble_error_points = 0;  ///< 100 · (measured − predicted bubble_fraction)
  StartErrors start_errors = {};

  /// The same for one rank, whose bubble fraction is its idle time / step time.
  double rank_bubble_error_points(Rank rank) const;
};

/// Idle time of a rank / step time.
double bubble_fraction(const Report& report, Rank rank);

/// Both are of one graph. Where the predicted step time is 0, another one is infinitely wrong.
TimelineComparison compare_timelines(const Analysis& predicted, const Analysis& measured);

}  // namespace bubblescope
