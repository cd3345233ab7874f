#include "tools/predict.h"

#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "sim/error.h"
#include "tools/errors.h"

namespace bubblescope {
void check_memory(const CatalogueEntry& entry, const Shape& shape) {
  constexpr double kBytesPerOp = 100;  // measured: tests/bench prints bytes a node
  const double needed = kBytesPerOp * 3 * shape.ranks * static_cast<double>(shape.microbatches) *
                        shape.chunks.value_or(entry.chunks);
  const double present =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
  if (needed > present)
    throw Error(fmt::format(
        "schedule {} at p={}, m={} would need up to {:.0f} GiB of memory; this "
        "machine has {:.0f} GiB",
        entry.name, shape.ranks, shape.microbatches, needed / (1U << 30U), present / (1U << 30U)));
}

Scenario make_scenario(const ShapeOptions& shape, const CostCommandOptions& costs) {
  return {shape.shape(), costs.source(), costs.are_by_hand(), costs.options(),
          parse_comm(costs.comm)};
}

Prediction predict(const CatalogueEntry& entry, const Scenario& scenario, Progress& progress) {
  check_memory(entry, scenario.shape);
  progress.now(fmt::format("{}: writing the order", entry.name));
  Program program = make_program(entry, scenario.shape, scenario.comm);
  const Schedule& schedule = program.schedule;
  CostModel costs(scenario.costs, schedule.placement, scenario.cost_options);
  if (scenario.costs_by_hand && !costs.can_add_up(schedule.actions.size()))
    throw UsageError(
        fmt::format("the costs given by hand are too large: the times and sizes of {} "
                    "actions cannot be added up",
                    schedule.actions.size()));
  progress.now(fmt::format("{}: building the graph", entry.name));
  DependencyGraph graph = build_graph(std::move(program), std::move(costs));
  progress.now(fmt::format("{}: simulating", entry.name));
  Timeline timeline = simulate(graph);
  return {std::move(graph), std::move(timeline)};
}

void note_costs(const Scenario& scenario, const GlobalOptions& global) {
  const auto made_for = scenario.costs.ranks;
  if (made_for && *made_for != scenario.shape.ranks)
    global.note(fmt::format("costs '{}' were made for {} ranks and are used as they are for {}",
                            scenario.costs.name, *made_for, scenario.shape.ranks));
}

}  // namespace bubblescope
