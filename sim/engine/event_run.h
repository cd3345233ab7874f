#pragma once

#include "sim/engine/dependency_graph.h"
#include "sim/engine/timeline.h"

namespace bubblescope {

/// Event-driven: a node's end is an event; what it lets start is decided when the event is handled.
/// A message leaves when it may, takes its latency, and then flows beside the others on the links
/// that they share. `timeline` has graph.size() spans; where messages that share links are edges,
/// it gets its `arrivals`.
void run_events(const DependencyGraph& graph, Timeline& timeline);

}  // namespace bubblescope
