// All that a bubble waits for, where several things end at once.
#pragma once

#include <vector>

#include "analysis/figures/bubbles.h"

namespace bubblescope {

class Blockers {
 public:
  Blockers(const DependencyGraph& graph, const Timeline& timeline);

  /// What each of those that arrive last at the waiting action is held up by when the bubble ends,
  /// by node: the bubble's own `blocking`, and all that tie with it.
  std::vector<NodeId> of(const Bubble& bubble) const;

 private:
  void add_holders(NodeId arrival, Time moment, std::vector<NodeId>& all) const;

  const DependencyGraph& graph_;
  const Timeline& timeline_;
  std::vector<NodeId> last_to_end_;  // what every drain waits for
};

}  // namespace bubblescope
