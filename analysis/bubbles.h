// Where a rank idles, and what it waits for.
#pragma once

#include <vector>

#include "sim/dependency_graph.h"
#include "sim/timeline.h"

namespace bubblescope {

enum class BubbleCause : std::uint8_t {
  WarmUp,      ///< Before the rank's first action.
  Dependency,  ///< An action of another rank had not ended.
  Message,     ///< It had ended, and its message was on the way.
  Drain,       ///< After the rank's last action, until the step ends.
  Unknown,     ///< It waited for no other rank: only a measured timeline has such gaps.
};

struct Bubble {
  Rank rank = 0;
  Span span{};
  BubbleCause cause = BubbleCause::WarmUp;
  NodeId waiting = 0;   ///< The action that ends the bubble; of a drain, the rank's last action.
  NodeId blocking = 0;  ///< The action that `waiting` waited for; `waiting` itself where unknown.
};

/// Every idle interval of every rank, by rank, then time. Their lengths add up to the idle time.
std::vector<Bubble> find_bubbles(const DependencyGraph& graph, const Timeline& timeline);

}  // namespace bubblescope
