#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "sim/schedule.h"

namespace bubblescope {

/// Why no rank can go on, in words. `next_action[rank]` is the index, in `schedule.actions`, of
/// the action at which a rank stands still; the orders must be sound (`check_orders`). The circle
/// shown has the fewest waits of any, unless so much is stuck that the search is cut short:
///
///     schedule mine: ranks wait for one another in a circle:
///       rank 0, action 1 (0B0) waits for 1B0 of rank 1, action 3,
///       which comes after rank 1, action 1 (1F1), which waits for 0F1 of rank 0, action 2,
///       which comes after rank 0, action 1 (0B0)
std::string describe_circular_wait(const Schedule& schedule,
                                   const std::vector<std::size_t>& next_action);

}  // namespace bubblescope
