#pragma once

#include <string>

#include "sim/engine/dependency_graph.h"

namespace bubblescope {

/// The graph in Graphviz's language: one row a rank, an arrow from an action to each that waits
/// for it; dashed arrows are messages.
std::string to_dot(const DependencyGraph& graph);

}  // namespace bubblescope
