#include "tests/bench/phases.h"

#include <vector>

#include "sim/costs/cost_file.h"
#include "sim/engine/simulate.h"
#include "sim/program/posting.h"
#include "sim/schedule/catalogue.h"
#include "tests/bench/measure.h"

namespace bubblescope::bench {
namespace {

constexpr Shape kShape = {.ranks = 16, .microbatches = 16384};
constexpr int kRepeats = 9;

/// In one action, of the stages' phases in all layers.
std::int64_t phases_in(const Action& action, const LayerPhases& stage) {
  std::int64_t count = 0;
  action.for_each_op([&](const Op& op) {
    for (const Phase& phase : stage.phases) {
      const bool is_half = op.kind() == OpKind::Backward && (phase.of == OpKind::BackwardInput ||
                                                             phase.of == OpKind::BackwardWeight);
      count += phase.of == op.kind() || is_half ? 1 : 0;
    }
  });
  return count * static_cast<std::int64_t>(stage.layers());
}

}  // namespace

PhaseFigures measure_phases() {
  const CostSource costs = read_costs(BUBBLESCOPE_PHASE_COSTS);
  PhaseFigures figures;
  std::vector<double> rates;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    Stopwatch watch;
    Schedule schedule = make_schedule(*find_schedule("dualpipe"), kShape);
    CostModel model(costs, schedule.placement, {.overlap = Overlap::Phases});
    const DependencyGraph graph =
        build_graph(post_messages(std::move(schedule), Comm::Ideal), std::move(model));
    const Timeline timeline = simulate(graph);
    const double seconds = watch.lap_ms() / 1000;
    if (repeat == 0)
      for (const Action& action : graph.schedule().actions)
        figures.phases += phases_in(action, costs.stages.front().phases);
    rates.push_back(static_cast<double>(figures.phases) / seconds);
  }
  figures.phases_per_s = median(rates);
  return figures;
}

}  // namespace bubblescope::bench
