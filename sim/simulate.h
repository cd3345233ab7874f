#pragma once

#include <cstdint>
#include <span>

#include "sim/dependency_graph.h"
#include "sim/timeline.h"

namespace bubblescope {

enum class Engine : std::uint8_t {
  Sweep,   ///< One pass over the nodes in order: exact where nothing contends for a resource.
  Events,  ///< A queue of events by (time, node): the same Timeline, and the seam for contention.
};

/// Runs the graph from time 0, each node as early as its dependencies allow. Pure and
/// deterministic; both engines give the same Timeline.
Timeline simulate(const DependencyGraph& graph, Engine engine = Engine::Sweep);

/// The kernel of Engine::Sweep; `spans` has graph.size() entries.
void sweep(const DependencyGraph& graph, std::span<Span> spans);

}  // namespace bubblescope
