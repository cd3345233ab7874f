#include "tools/predict.h"

#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "sim/error.h"

namespace bubblescope {
namespace {

/// A schedule that cannot fit into memory is refused at once, before the machine begins to swap.
void check_memory(const CatalogueEntry& entry, const Shape& shape) {
  constexpr double kBytesPerOp = 100;  // measured: tests/bench prints bytes a node
  const double needed = kBytesPerOp * 3 * shape.ranks * static_cast<double>(shape.microbatches);
  const double present = static_cast<double>(sysconf(_SC_PHYS_PAGES)) *
                         static_cast<double>(sysconf(_SC_PAGE_SIZE));
  if (needed > present)
    throw Error(fmt::format("schedule {} at p={}, m={} would need up to {:.0f} GiB of memory; this "
                            "machine has {:.0f} GiB",
                            entry.name, shape.ranks, shape.microbatches, needed / (1U << 30U),
                            present / (1U << 30U)));
}

}  // namespace

Prediction predict(const CatalogueEntry& entry, const ShapeOptions& shape_options,
                   const CostSource& costs, const CostCommandOptions& options,
                   Progress& progress) {
  Shape shape = shape_options.shape();
  if (const auto misfit = shape_options.disagreement(entry))
    throw Error(fmt::format("schedule {} at v={}: {}", entry.name, shape.chunks, misfit->reason));
  shape.chunks = entry.chunks;
  check_memory(entry, shape);
  progress.now(fmt::format("{}: writing the order", entry.name));
  Schedule schedule = make_schedule(entry, shape);
  CostModel model(costs, schedule.placement, options.options());
  progress.now(fmt::format("{}: building the graph", entry.name));
  DependencyGraph graph = build_graph(lower(std::move(schedule), options.parsed_comm()),
                                      std::move(model));
  progress.now(fmt::format("{}: simulating", entry.name));
  Timeline timeline = simulate(graph);
  return {std::move(graph), std::move(timeline)};
}

void note_costs(const CostSource& costs, const Shape& shape, const GlobalOptions& global) {
  if (costs.ranks && *costs.ranks != shape.ranks)
    global.note(fmt::format("costs '{}' were made for {} ranks and are used as they are for {}",
                            costs.name, *costs.ranks, shape.ranks));
}

}  // namespace bubblescope
