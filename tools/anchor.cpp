#include "tools/anchor.h"

#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "analysis/figures/format.h"
#include "tools/options/units.h"

namespace bubblescope {
namespace {

/// Nanoseconds of an iteration whose computation is scaled.
double iteration(Scenario& scenario, const ScheduleSource& source, double factor) {
  scenario.job->hardware.compute_scale = factor;
  Progress progress(true);
  const Prediction run = predict(schedule_for(source, scenario, progress), scenario, progress);
  return static_cast<double>(run.analysis().report.whole_time().count());
}

}  // namespace

void AnchorOption::add_to(CLI::App& app) {
  add_option(app,
             {"--anchor", "TIME",
              "a measured iteration of this very configuration: computation is scaled until it "
              "takes as long",
              "Costs from a model"},
             time, read_time)
      ->needs(app.get_option("--model"))
      ->excludes(app.get_option("--compute-scale"));
}

void AnchorOption::scale(Scenario& scenario, const ScheduleSource& source,
                         const GlobalOptions& global) const {
  if (!time || !scenario.job)
    return;
  if (*time <= Time::zero())
    throw wrong_option("--anchor", "expected a time above 0");
  constexpr double kMost = 10;
  constexpr double kCloseEnough = 1e-6;
  constexpr int kMostTries = 40;
  const auto measured = static_cast<double>(time->count());
  const double first = iteration(scenario, source, 1);
  // The time grows with the factor, by straight pieces: a secant through two points of one piece
  // hits it.
  double before = 1;
  double time_before = first;
  double factor = measured / first;
  double now = 0;
  for (int i = 0; i < kMostTries && std::abs(now / measured - 1) >= kCloseEnough; ++i) {
    if (!(factor > 1 / kMost && factor < kMost))
      break;
    now = iteration(scenario, source, factor);
    const double slope = (now - time_before) / (factor - before);
    before = std::exchange(factor, slope > 0 ? factor + (measured - now) / slope : 0);
    time_before = now;
  }
  if (std::abs(now / measured - 1) >= kCloseEnough)
    throw wrong_option(
        "--anchor", fmt::format("{} is {:.3g} times what the model says of {}, {}: computation "
                                "cannot make up for that",
                                TimeUnit::fit(*time).format(*time), measured / first, source.name(),
                                TimeUnit::fit(*time).format(Time(std::llround(first)))));
  factor = before;
  scenario.job->hardware.compute_scale = factor;
  global.note(
      fmt::format("--anchor: computation takes {0:.4f} times what the model says of {1}; "
                  "--compute-scale {0:.4f} "
                  "says so for other runs",
                  factor, source.name()));
}

}  // namespace bubblescope
