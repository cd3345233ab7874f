// A report of each link that messages share: bytes, busy time, and what contention added.
#pragma once

#include <vector>

#include "sim/engine/dependency_graph.h"
#include "sim/engine/timeline.h"

namespace bubblescope {

struct LinkReport {
  LinkId link = 0;
  Bytes bytes = 0;  ///< Of all messages that crossed it.
  Time busy{};      ///< Time in which at least one message's bytes were on it.
  /// By how much messages took longer than alone, together; one is counted on each link it crosses.
  Time contention{};
};

/// By LinkId, those that are shared and that the schedule's ranks may use; none where no link is.
std::vector<LinkReport> link_reports(const DependencyGraph& graph, const Timeline& timeline);

}  // namespace bubblescope
