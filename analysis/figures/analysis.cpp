#include "analysis/figures/analysis.h"

namespace bubblescope {

Analysis::Analysis(const DependencyGraph& the_graph, const Timeline& the_timeline, Inside inside)
    : graph(the_graph),
      timeline(the_timeline),
      report(bubblescope::report(the_graph, the_timeline, inside)) {}

const std::vector<Bubble>& Analysis::bubbles() const {
  if (!bubbles_)
    bubbles_ = find_bubbles(graph, timeline);
  return *bubbles_;
}

const CriticalTree& Analysis::tree() const {
  if (!tree_)
    tree_ = critical_tree(graph, timeline);
  return *tree_;
}

const CriticalPath& Analysis::path() const {
  if (!path_)
    path_ = critical_path(graph, tree());
  return *path_;
}

}  // namespace bubblescope
