#include "sim/schedules/shape.h"

namespace bubblescope {

std::optional<Misfit> needs_microbatches(Shape shape, std::int64_t least,
                                         const std::string& reason) {
  if (shape.microbatches >= least)
    return std::nullopt;
  shape.microbatches = static_cast<int>(least);
  return Misfit{reason, shape};
}

std::size_t most_actions(Shape shape) {
  return 3 * static_cast<std::size_t>(shape.ranks) * static_cast<std::size_t>(shape.microbatches);
}

}  // namespace bubblescope
