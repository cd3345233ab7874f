// Messages between ranks that no action hides.
#pragma once

#include <vector>

#include "sim/engine/dependency_graph.h"
#include "sim/engine/timeline.h"

namespace bubblescope {

/// [rank] The time in which a message to or from the rank is on the way and the rank executes no
/// action. Zero where messages are no nodes: ideal communication occupies no one.
std::vector<Time> exposed_messages(const DependencyGraph& graph, const Timeline& timeline);

}  // namespace bubblescope
