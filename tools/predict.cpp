#include "tools/predict.h"

#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "sim/error.h"
#include "sim/lowering.h"
#include "sim/schedules/automatic.h"
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

namespace {

/// Of an automatic schedule.
CostModel costs_of(const CatalogueEntry& entry, const Scenario& scenario) {
  return {scenario.costs, entry.automatic->placement(scenario.shape.ranks), scenario.cost_options};
}

}  // namespace

Scenario make_scenario(const ShapeOptions& shape, const CostCommandOptions& costs,
                       const LimitOptions& limits) {
  Scenario scenario = {.shape = shape.shape(),
                       .costs = costs.source(),
                       .costs_by_hand = costs.are_by_hand(),
                       .cost_options = costs.options(),
                       .comm = parse_comm(costs.comm),
                       .automatic = limits.options()};
  const StageCost& stage = scenario.costs.stages.front();
  if (scenario.automatic.memory.bytes && !(stage.activation && stage.weights))
    throw UsageError(
        "--memory-limit in bytes needs costs that tell sizes: --activation and "
        "--weights, or activation_bytes and weight_bytes in a cost file");
  return scenario;
}

std::optional<std::string> find_obstacle(const CatalogueEntry& entry, const Scenario& scenario) {
  if (const auto misfit = find_misfit(entry, scenario.shape))
    return misfit->reason;
  if (entry.automatic == nullptr)
    return std::nullopt;
  return memory_obstacle(entry, scenario.shape.ranks, costs_of(entry, scenario),
                         scenario.automatic.memory);
}

ScheduledProgram make_program(const CatalogueEntry& entry, const Scenario& scenario) {
  if (entry.automatic == nullptr)
    return {make_program(entry, scenario.shape, scenario.comm)};
  SearchResult result =
      make_automatic(entry, scenario.shape, costs_of(entry, scenario), scenario.automatic);
  const SearchFigures figures = {
      .objective = scenario.automatic.objective,
      .reached = Time(scenario.automatic.objective == Objective::Step ? result.score.step
                                                                      : result.score.span),
      .work_bound = Time(result.bound.work),
      .drain_bound = Time(result.bound.drain),
      .critical_path_bound = Time(result.bound.critical_path),
      .memory_bound = Time(result.bound.memory)};
  return {lower(std::move(result.schedule), scenario.comm), figures};
}

Report Prediction::report() const {
  Report report = bubblescope::report(graph, timeline);
  report.search = search;
  return report;
}

Prediction predict(const CatalogueEntry& entry, const Scenario& scenario, Progress& progress) {
  check_memory(entry, scenario.shape);
  progress.now(fmt::format("{}: writing the order", entry.name));
  auto [program, search] = make_program(entry, scenario);
  CostModel costs(scenario.costs, program.schedule.placement, scenario.cost_options);
  const std::size_t actions = program.schedule.actions.size();
  if (scenario.costs_by_hand && !costs.can_add_up(actions))
    throw UsageError(
        fmt::format("the costs given by hand are too large: the times and sizes of {} "
                    "actions cannot be added up",
                    actions));
  progress.now(fmt::format("{}: building the graph", entry.name));
  DependencyGraph graph = build_graph(std::move(program), std::move(costs));
  progress.now(fmt::format("{}: simulating", entry.name));
  Timeline timeline = simulate(graph);
  return {std::move(graph), std::move(timeline), search};
}

void note_costs(const Scenario& scenario, const GlobalOptions& global) {
  const auto made_for = scenario.costs.ranks;
  if (made_for && *made_for != scenario.shape.ranks)
    global.note(fmt::format("costs '{}' were made for {} ranks and are used as they are for {}",
                            scenario.costs.name, *made_for, scenario.shape.ranks));
}

}  // namespace bubblescope
