#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/engine/dependency_graph.h"
#include "sim/engine/timeline.h"

namespace bubblescope {

enum class Engine : std::uint8_t {
  Auto,    ///< A sweep where no links are shared, else events.
  Sweep,   ///< One pass over the nodes in order, as if each message had its links for itself.
  Events,  ///< A queue of events by (time, node), in which messages contend for shared links.
};

/// Runs the graph from time 0, each node as early as its dependencies allow. Pure and
/// deterministic; where no links are shared, or nothing contends for them, both engines give the
/// same Timeline.
Timeline simulate(const DependencyGraph& graph, Engine engine = Engine::Auto);

/// When what an edge stands for had arrived in such a Timeline.
inline Time arrival_time(const DependencyGraph& graph, const Timeline& timeline, EdgeId edge) {
  return timeline.arrivals.empty() ? timeline.spans[graph.producer()[edge]].end + graph.lag()[edge]
                                   : timeline.arrivals[edge];
}

/// [rank] From the start of its first action to the end of its last one; kNoSpan where it has none.
std::vector<Span> rank_spans(const DependencyGraph& graph, const Timeline& timeline);

/// The kernel of Engine::Sweep; `spans` has graph.size() entries.
void sweep(const DependencyGraph& graph, std::span<Span> spans);

}  // namespace bubblescope
