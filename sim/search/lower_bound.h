// What no schedule can beat.
#pragma once

#include <algorithm>

#include "sim/search/problem.h"

namespace bubblescope {

/// Four bounds on the objective, of which the largest counts.
struct LowerBound {
  /// A rank's work and the time for which it must wait: before its first I, which is far away,
  /// memory has room for so many F's; and from its last F on, the way back is long and what is live
  /// has so many I's and W's.
  Ticks work = 0;
  /// Until its last I a rank executes all F's and I's, and all W's but those that memory has room
  /// to put off; then that I's output goes back to the first stage.
  Ticks drain = 0;
  /// All F's of the first stage, then the way of the last micro-batch through the pipe and back.
  Ticks critical_path = 0;
  /// Activations live at least as long as their way takes; a rank has room for so many at a time.
  Ticks memory = 0;

  Ticks value() const { return std::max({work, drain, critical_path, memory}); }
};

LowerBound lower_bound(const Problem& problem);

}  // namespace bubblescope
