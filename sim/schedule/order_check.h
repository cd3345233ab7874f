#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "sim/schedule/schedule.h"

namespace bubblescope {

/// What is wrong with a rank's order.
struct OrderFault {
  Rank rank;
  std::optional<std::size_t> action;  ///< Index in schedule.actions; none where one is missing.
  std::string what;                   ///< "comes before its F"
};

/// Checks each rank's order by itself: each stage and micro-batch has its F, then its I and W or
/// its B, once, on the rank that hosts the stage. Whether ranks wait for one another in a circle is
/// `build_graph`'s to find.
std::optional<OrderFault> find_order_fault(const Schedule& schedule);

/// Throws Error where there is a fault, with rank, action and expectation.
void check_orders(const Schedule& schedule);

}  // namespace bubblescope
