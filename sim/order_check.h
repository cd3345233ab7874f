#pragma once

#include "sim/schedule.h"

namespace bubblescope {

/// Checks each rank's order by itself: each stage and micro-batch has its F, then its I and W or
/// its B, once, on the rank that hosts the stage. Throws Error with rank, action and expectation.
/// Whether ranks wait for one another in a circle is `build_graph`'s to find.
void check_orders(const Schedule& schedule);

}  // namespace bubblescope
