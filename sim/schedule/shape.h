// What a schedule is asked to fit, and what generators say of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "sim/schedule/schedule.h"

namespace bubblescope {

struct Shape {
  int ranks = 0;         ///< p ≥ 1
  int microbatches = 0;  ///< m ≥ 1
  /// v, the stages that a rank holds per pipe; none: as many as the schedule has.
  std::optional<int> chunks = {};
  /// Micro-batches that pass a rank's chunks together, in interleaved schedules; none: p.
  std::optional<int> group_size = {};
};

/// Why a shape is outside a schedule's constraints, and the nearest one inside them.
struct Misfit {
  std::string reason;
  Shape nearest;
};

/// `shape` with another m as the nearest that fits.
Misfit other_microbatches(Shape shape, std::int64_t microbatches, const std::string& reason);

/// None if m ≥ `least`, else `reason` with `least` as the nearest m.
std::optional<Misfit> needs_microbatches(Shape shape, std::int64_t least,
                                         const std::string& reason);

/// F, I and W of every micro-batch on every stage of one pipe: no schedule has more.
std::size_t most_actions(Shape shape);

}  // namespace bubblescope
