// Periodic orders: every micro-batch does the same as the one before it, some slots later. The
// family of Pipeline Parallelism with Controllable Memory (arXiv 2405.15362), where a slot is as
// long as an F, an I or a W, and V-Min, V-Half and V-ZB are three members.
#pragma once

#include <vector>

#include "sim/search/problem.h"

namespace bubblescope {

struct Pattern {
  int unit = 0;                ///< Slots from a micro-batch to the next.
  std::vector<int> slot = {};  ///< [track] of the first micro-batch
};

/// Patterns that fit the memory limit: those that leave no slot empty, or where there are none,
/// those of the least unit that has any.
std::vector<Pattern> find_patterns(const Problem& problem);

/// The orders of all micro-batches.
Letters unroll(const Problem& problem, const Pattern& pattern);

}  // namespace bubblescope
