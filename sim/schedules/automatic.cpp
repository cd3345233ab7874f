#include "sim/schedules/automatic.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "sim/error.h"

namespace bubblescope {
namespace {

/// Of the rank where they take most.
Bytes heaviest_weights(const Placement& placement, const CostModel& costs) {
  std::vector<Bytes> weights(static_cast<std::size_t>(placement.ranks));
  for (Stage stage = 0; stage < placement.stages(); ++stage)
    weights[static_cast<std::size_t>(placement.rank(stage))] += costs.weight_bytes(stage);
  return *std::max_element(weights.begin(), weights.end());
}

}  // namespace

std::optional<std::string> memory_obstacle(const CatalogueEntry& entry, int ranks,
                                           const CostModel& costs, const MemoryLimit& memory) {
  const Placement placement = entry.automatic->placement(ranks);
  const auto too_low = [](std::int64_t limit, std::int64_t least, const char* unit) {
    return limit >= least
               ? std::nullopt
               : std::optional(fmt::format("a memory limit of {} {} is too low: the least is {}",
                                           limit, unit, least));
  };
  if (memory.bytes)
    return too_low(*memory.bytes,
                   heaviest_weights(placement, costs) +
                       least_memory_limit(placement, costs, MemoryUnit::SizeInBytes),
                   "bytes");
  if (memory.live_activations)
    return too_low(*memory.live_activations,
                   least_memory_limit(placement, costs, MemoryUnit::Activations),
                   "live activations");
  return std::nullopt;
}

SearchResult make_automatic(const CatalogueEntry& entry, Shape shape, const CostModel& costs,
                            const AutomaticOptions& options) {
  check_fits(entry, shape);
  if (const auto obstacle = memory_obstacle(entry, shape.ranks, costs, options.memory))
    throw Error(fmt::format("schedule {}: {}", entry.name, *obstacle));
  const Placement placement = entry.automatic->placement(shape.ranks);
  SearchOptions search = {
      .memory_limit = options.memory.live_activations.value_or(entry.chunks * shape.ranks),
      .objective = options.objective,
      .effort = options.effort};
  if (options.memory.bytes) {
    search.memory_limit = *options.memory.bytes - heaviest_weights(placement, costs);
    search.memory_unit = MemoryUnit::SizeInBytes;
  }
  std::vector<Schedule> seeds;
  for (const char* name : entry.automatic->seeds)
    if (const CatalogueEntry& seed = *find_schedule(name); !find_misfit(seed, shape))
      seeds.push_back(make_schedule(seed, shape));
  SearchResult result = search_schedule(placement, shape.microbatches, costs, search, seeds);
  result.schedule.name = entry.name;
  return result;
}

}  // namespace bubblescope
