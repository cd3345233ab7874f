// Why a step takes as long as it does: its time and each rank's idle time as sums of costs, where
// in the space of costs these sums hold, and what it would save to make each cost smaller.
#pragma once

#include <optional>
#include <vector>

#include "analysis/explain/linear_form.h"
#include "analysis/explain/validity_region.h"
#include "analysis/figures/critical_path.h"

namespace bubblescope {

/// One cost that can be changed.
struct Lever {
  CostKind kind;
  double saved_ns = 0;  ///< Off the step, for one percent off this cost.
  /// Within it the form holds: in ns where all of a kind take equally long, else in thousandths of
  /// what each takes.
  CostRange range{};
};

struct Explanation {
  Time step_time{};
  LinearForm form{};               ///< The critical path's counts.
  PerCost<Time> on_path{};         ///< The time that each cost takes up on it.
  std::vector<LinearForm> idle{};  ///< [rank] the path's counts less those of its own actions.
  /// What one of each costs, in ns; none where stages differ. Then the step time is the path's form
  /// at these costs, and `idle` the idle time.
  std::optional<PerCost<std::int64_t>> costs = {};
  bool splits_backward = false;  ///< B is I and W, so it is no lever of its own.
  /// Both empty where links are shared, since the step is no longest path then, and for steps of
  /// hours.
  std::vector<Lever> levers = {};
  std::optional<ValidityRegion> region = {};  ///< Where `costs` are told.
};

/// Counts the costs along `path`, the critical path of a simulated timeline. Levers and region are
/// left out: they take many simulations more.
Explanation count_costs(const DependencyGraph& graph, const Timeline& timeline,
                        const CriticalPath& path);
/// Explains a simulated timeline with all that there is, levers and region too.
Explanation explain(const DependencyGraph& graph, const Timeline& timeline,
                    const CriticalPath& path);

/// As people write it: B where as many I as W are meant, no messages where they take no time.
LinearForm told_form(const Explanation& why, LinearForm form);

}  // namespace bubblescope
