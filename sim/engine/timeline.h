#pragma once

#include <string>

#include "sim/base/flat_array.h"
#include "sim/base/span.h"

namespace bubblescope {

/// When each node of a DependencyGraph ran. Simulated and measured ones are alike, so they compare.
struct Timeline {
  std::string source;     ///< "simulated", or what measured it.
  FlatArray<Span> spans;  ///< [NodeId]
  /// [EdgeId] When what an edge stands for had arrived; empty where all edges take their lag.
  FlatArray<Time> arrivals = {};
};

}  // namespace bubblescope
