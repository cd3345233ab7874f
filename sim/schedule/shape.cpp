#include "sim/schedule/shape.h"

namespace bubblescope {

Misfit other_microbatches(Shape shape, std::int64_t microbatches, const std::string& reason) {
  shape.microbatches = static_cast<int>(microbatches);
  return {reason, shape};
}

std::optional<Misfit> needs_microbatches(Shape shape, std::int64_t least,
                                         const std::string& reason) {
  if (shape.microbatches >= least)
    return std::nullopt;
  return other_microbatches(shape, least, reason);
}

std::size_t most_actions(Shape shape) {
  return 3 * static_cast<std::size_t>(shape.ranks) *
         static_cast<std::size_t>(shape.chunks.value_or(1)) *
         static_cast<std::size_t>(shape.microbatches);
}

}  // namespace bubblescope
