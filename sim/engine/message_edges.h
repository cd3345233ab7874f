#pragma once

#include "sim/engine/dependency_graph.h"
#include "sim/schedule/outputs.h"

namespace bubblescope {

/// Calls `visit(edge, message)` for each edge that is a message between ranks, by consumer, of a
/// graph whose communication is ideal: the others have none.
template <typename Visitor>
void for_each_message_edge(const DependencyGraph& graph, Visitor&& visit) {
  const Schedule& schedule = graph.schedule();
  if (!graph.messages().empty())
    return;
  for (NodeId node = 0; node < graph.size(); ++node) {
    const std::size_t first = schedule.first_action[static_cast<std::size_t>(graph.rank()[node])];
    EdgeId edge = graph.first_edge()[node] + (graph.action_index()[node] == first ? 0U : 1U);
    graph.action(node).for_each_op([&](const Op& op) {
      if (const auto message = message_to(schedule.placement, op))
        visit(edge++, *message);
    });
  }
}

}  // namespace bubblescope
