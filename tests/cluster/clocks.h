// Processes with clocks of their own, set otherwise and faster or slower than the true one, and how
// far the leader is from knowing them.
#pragma once

#include <chrono>

#include "sim/base/types.h"

namespace bubblescope {

struct ClockError {
  Time error{};        ///< The largest of any moment, against truth.
  Time uncertainty{};  ///< What was told about that clock.
};

/// The leader reads three clocks, which are up to 1000 hours and 200 ppm apart from its own, before
/// and after a time, and maps moments of this time. The worst, by what its uncertainty leaves.
ClockError align_clocks(std::chrono::milliseconds time);

}  // namespace bubblescope
