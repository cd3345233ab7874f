// Orders that differ from 1F1B in how many F's come before the first I. A pattern has those of its
// equal slots; where an F, an I and a hop differ, other numbers leave ranks idle for less long.
#pragma once

#include "sim/search/problem.h"

namespace bubblescope {

/// Each rank starts with one F, and as many more as end before its first I arrives. From there on
/// I and F take turns; W's come last. The memory limit is not looked at: a guide for `Greedy`, and
/// only for problems with one chunk.
Letters fill_warm_up(const Problem& problem);

}  // namespace bubblescope
