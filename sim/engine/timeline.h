#pragma once

#include <algorithm>
#include <string>

#include "sim/base/flat_array.h"
#include "sim/base/types.h"

namespace bubblescope {

struct Span {
  Time start;
  Time end;

  Time length() const { return end - start; }
  /// Widens it until `other` lies within.
  void include(const Span& other) {
    start = std::min(start, other.start);
    end = std::max(end, other.end);
  }
  friend bool operator==(const Span&, const Span&) = default;
};

/// The span that becomes whatever is first included.
inline constexpr Span kNoSpan{Time::max(), Time::min()};

/// When each node of a DependencyGraph ran. Simulated and measured ones are alike, so they compare.
struct Timeline {
  std::string source;     ///< "simulated", or what measured it.
  FlatArray<Span> spans;  ///< [NodeId]
  /// [EdgeId] When what an edge stands for had arrived; empty where all edges take their lag.
  FlatArray<Time> arrivals = {};
};

}  // namespace bubblescope
