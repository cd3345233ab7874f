// One run and what is found in it. Whoever has run it makes it once, and every view reads it.
#pragma once

#include <optional>
#include <vector>

#include "analysis/figures/bubbles.h"
#include "analysis/figures/critical_path.h"
#include "analysis/figures/report.h"

namespace bubblescope {

/// Bubbles and critical path are found when they are first asked for and kept: a large run that
/// only tells its figures must not pay for them. Not for several threads at a time.
class Analysis {
 public:
  /// Both have to outlive it.
  Analysis(const DependencyGraph& the_graph, const Timeline& the_timeline,
           Inside inside = Inside::AsCostsTell);
  Analysis(DependencyGraph&&, const Timeline&, Inside = Inside::AsCostsTell) = delete;
  Analysis(const DependencyGraph&, Timeline&&, Inside = Inside::AsCostsTell) = delete;

  const DependencyGraph& graph;
  const Timeline& timeline;
  Report report;  ///< Whoever makes it adds what graph and timeline do not tell: search and noise.

  const std::vector<Bubble>& bubbles() const;
  const CriticalTree& tree() const;
  const CriticalPath& path() const;

 private:
  mutable std::optional<std::vector<Bubble>> bubbles_ = {};
  mutable std::optional<CriticalTree> tree_ = {};
  mutable std::optional<CriticalPath> path_ = {};
};

}  // namespace bubblescope
