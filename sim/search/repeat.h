// Makes short orders long and long ones short.
#pragma once

#include <span>
#include <vector>

#include "sim/search/annealing.h"
#include "sim/search/problem.h"

namespace bubblescope {

/// [rank] Places near the middle of each rank's order with `microbatches` letters of every kind, so
/// that to repeat them adds as many micro-batches; empty if some rank has none.
std::vector<Window> find_period(const Problem& problem, std::span<const Letter> letters,
                                int microbatches);

/// Repeats `period` so often that the orders are for `microbatches`.
Letters lengthen(const Problem& problem, std::span<const Letter> letters,
                 std::span<const Window> period, int microbatches);

/// Leaves out micro-batches in the middle.
Letters shorten(const Problem& problem, std::span<const Letter> letters, int microbatches);

}  // namespace bubblescope
