#include "sim/search/automatic.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/engine/dependency_graph.h"
#include "sim/engine/simulate.h"

namespace bubblescope {
namespace {

/// [rank] Bytes of weights.
std::vector<Bytes> weights_of_ranks(const Placement& placement, const CostModel& costs) {
  std::vector<Bytes> weights(static_cast<std::size_t>(placement.ranks));
  for (Stage stage = 0; stage < placement.stages(); ++stage)
    weights[static_cast<std::size_t>(placement.rank(stage))] += costs.weight_bytes(stage);
  return weights;
}

Bytes heaviest_weights(const Placement& placement, const CostModel& costs) {
  const std::vector<Bytes> weights = weights_of_ranks(placement, costs);
  return *std::max_element(weights.begin(), weights.end());
}

/// [rank] What each may keep of activations: none has less than the search is held to.
std::vector<std::int64_t> rooms(const Placement& placement, const CostModel& costs,
                                const AutomaticOptions& options, std::int64_t activations) {
  std::vector<std::int64_t> room(static_cast<std::size_t>(placement.ranks), activations);
  if (!options.memory.bytes)
    return room;
  const std::vector<Bytes> weights = weights_of_ranks(placement, costs);
  std::transform(weights.begin(), weights.end(), room.begin(),
                 [&](Bytes of_rank) { return *options.memory.bytes - of_rank; });
  return room;
}

/// Step time and widest span with ideal communication, each message having its links for itself.
Score score_of(const Schedule& schedule, const CostModel& costs) {
  const DependencyGraph graph = build_graph(PostedProgram{.schedule = schedule}, costs);
  const Timeline timeline = simulate(graph, Engine::Sweep);
  Span step = kNoSpan;
  Score score;
  for (const Span& rank : rank_spans(graph, timeline)) {
    step.include(rank);
    score.span = std::max(score.span, Ticks{rank.length().count()});
  }
  score.step = step.length().count();
  return score;
}

/// Whether each rank keeps to its room along its order.
bool keeps_to(const std::vector<std::int64_t>& room, MemoryUnit unit, const Schedule& schedule,
              const CostModel& costs) {
  for (Rank rank = 0; rank < schedule.placement.ranks; ++rank) {
    std::int64_t live = 0;
    std::int64_t most = 0;
    for (const Action& action : schedule.order(rank))
      action.for_each_op([&](const Op& op) {
        live += unit == MemoryUnit::Activations ? live_activation_change(op.kind())
                                                : costs.activation_change(op);
        most = std::max(most, live);
      });
    if (most > room[static_cast<std::size_t>(rank)])
      return false;
  }
  return true;
}

/// The search has one kind of backward a stage; a seed that mixes B with I and W may be better.
void take_better_seed(const std::vector<Schedule>& seeds, const CostModel& costs,
                      const SearchOptions& options, const std::vector<std::int64_t>& room,
                      SearchResult& result) {
  const auto key = [&](const Score& score) {
    return options.objective == Objective::Step ? std::pair(score.step, score.span)
                                                : std::pair(score.span, score.step);
  };
  for (const Schedule& seed : seeds) {
    if (!keeps_to(room, options.memory_unit, seed, costs))
      continue;
    const Score score = score_of(seed, costs);
    if (key(score) < key(result.score)) {
      result.schedule = seed;
      result.score = score;
    }
  }
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
  const auto ops = 3 * static_cast<std::size_t>(placement.stages()) *
                   static_cast<std::size_t>(shape.microbatches);
  if (!costs.can_add_up(ops))
    throw Error(
        fmt::format("schedule {}: the costs are too large: the times and sizes of {} "
                    "actions cannot be added up",
                    entry.name, ops));
  SearchOptions search = {
      .memory_limit = options.memory.live_activations.value_or(entry.chunks * shape.ranks),
      .objective = options.objective,
      .effort = options.effort};
  const std::vector<std::int64_t> room = rooms(placement, costs, options, search.memory_limit);
  if (options.memory.bytes) {
    search.memory_limit = *std::min_element(room.begin(), room.end());
    search.memory_unit = MemoryUnit::SizeInBytes;
  }
  std::vector<Schedule> seeds;
  for (const char* name : entry.automatic->seeds)
    if (const CatalogueEntry& seed = *find_schedule(name); !find_misfit(seed, shape))
      seeds.push_back(make_schedule(seed, shape));
  SearchResult result = search_schedule(placement, shape.microbatches, costs, search, seeds);
  take_better_seed(seeds, costs, search, room, result);
  result.schedule.name = entry.name;
  return result;
}

}  // namespace bubblescope
