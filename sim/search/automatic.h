// Schedules that are made for given costs and a given memory limit.
#pragma once

#include <optional>
#include <string>

#include "sim/costs/memory_limit.h"
#include "sim/schedule/catalogue.h"
#include "sim/search/search.h"

namespace bubblescope {

/// What an automatic schedule is made for, beside a shape and costs.
struct AutomaticOptions {
  /// Bytes need costs that tell sizes. None given: as much of the model as 1F1B holds, p
  /// activations for `zb-auto` and 2p for `v-auto`.
  MemoryLimit memory = {};
  Objective objective = Objective::Step;
  int effort = 1;  ///< ≥ 1
};

/// Why no schedule of `entry`, which is automatic, stays within `memory`, with the least limit;
/// none where one does.
std::optional<std::string> memory_obstacle(const CatalogueEntry& entry, int ranks,
                                           const CostModel& costs, const MemoryLimit& memory);

/// `entry` is automatic. Throws Error where memory is too small, or the shape is a misfit.
SearchResult make_automatic(const CatalogueEntry& entry, Shape shape, const CostModel& costs,
                            const AutomaticOptions& options);

}  // namespace bubblescope
