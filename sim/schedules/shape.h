// What a schedule is asked to fit, and what generators say of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace bubblescope {

struct Shape {
  int ranks = 0;         ///< p ≥ 1
  int microbatches = 0;  ///< m ≥ 1
  /// v, the stages that a rank holds per pipe; none: as many as the schedule has.
  std::optional<int> chunks = {};
};

/// Why a shape is outside a schedule's constraints, and the nearest one inside them.
struct Misfit {
  std::string reason;
  Shape nearest;
};

/// None if m ≥ `least`, else `reason` with `least` as the nearest m.
std::optional<Misfit> needs_microbatches(Shape shape, std::int64_t least,
                                         const std::string& reason);

/// F, I and W of every micro-batch on every rank: no schedule of one stage a rank has more.
std::size_t most_actions(Shape shape);

}  // namespace bubblescope
