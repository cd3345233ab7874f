#include "tests/bench/prediction.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "analysis/figures/report.h"
#include "sim/engine/simulate.h"
#include "sim/program/posting.h"
#include "tests/bench/measure.h"

namespace bubblescope::bench {
namespace {

CostSource workload_costs() {
  using std::chrono::microseconds;
  StageCost stage;
  stage.forward = microseconds(kForwardUs);
  stage.input_grad = microseconds(kBackwardUs / 2);
  stage.weight_grad = microseconds(kBackwardUs / 2);
  CostSource source;
  source.stages = {stage};
  source.link.latency = microseconds(kMessageUs);
  return source;
}

Schedule workload_schedule(Shape shape) {
  return make_schedule(*find_schedule("1f1b"), shape);
}

struct OnePrediction {
  Phases phases;
  Time step_time;
};

/// What happens is what tools/predict.cpp does; that memory is given back at the end is not timed.
OnePrediction predict(Shape shape) {
  OnePrediction result;
  Stopwatch watch;
  Schedule schedule = workload_schedule(shape);
  result.phases[0] = watch.lap_ms();
  CostModel costs(workload_costs(), schedule.placement, {});
  const double costs_ms = watch.lap_ms();
  PostedProgram program = post_messages(std::move(schedule), Comm::Ideal);
  result.phases[1] = watch.lap_ms();
  const DependencyGraph graph = build_graph(std::move(program), std::move(costs));
  result.phases[2] = watch.lap_ms() + costs_ms;
  const Timeline timeline = simulate(graph);
  result.phases[3] = watch.lap_ms();
  const Report figures = report(graph, timeline);
  result.phases[4] = watch.lap_ms();
  result.step_time = figures.step_time;
  return result;
}

PredictionFigures predict_repeatedly(Shape shape, int repeats) {
  PredictionFigures figures;
  const auto before = static_cast<double>(resident().now_bytes);
  const OnePrediction first = predict(shape);
  figures.first = first.phases;
  figures.step_time_ns = first.step_time.count();
  figures.first_bytes = static_cast<double>(resident().peak_bytes) - before;
  std::vector<Phases> runs;
  std::vector<double> totals;
  for (int i = 0; i < repeats; ++i) {
    runs.push_back(predict(shape).phases);
    totals.push_back(total_ms(runs.back()));
  }
  for (std::size_t phase = 0; phase < kPhases; ++phase) {
    std::vector<double> times(runs.size());
    std::transform(runs.begin(), runs.end(), times.begin(),
                   [=](const Phases& run) { return run[phase]; });
    figures.median[phase] = median(times);
  }
  figures.median_total_ms = median(totals);
  figures.best_total_ms = *std::min_element(totals.begin(), totals.end());
  figures.repeated_bytes = static_cast<double>(resident().peak_bytes) - before;
  return figures;
}

}  // namespace

double total_ms(const Phases& phases) {
  return std::accumulate(phases.begin(), phases.end(), 0.0);
}

PredictionFigures measure_prediction(Shape shape, int repeats) {
  constexpr double kBytesPerN = 64;  // more than a prediction takes
  make_present(kBytesPerN * ops_and_messages(shape));
  return in_child([=] { return predict_repeatedly(shape, repeats); });
}

DependencyGraph workload_graph(Shape shape) {
  Schedule schedule = workload_schedule(shape);
  CostModel costs(workload_costs(), schedule.placement, {});
  return build_graph(post_messages(std::move(schedule), Comm::Ideal), std::move(costs));
}

}  // namespace bubblescope::bench
