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
  scenario.job->compute_scale = factor;
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
  constexpr double kMost = 10;
  constexpr double kCloseEnough = 1e-6;
  constexpr int kMostTries = 20;
  const auto measured = static_cast<double>(time->count());
  const std::optional<NoiseOptions> noise = std::exchange(scenario.noise, std::nullopt);
  // The time grows with the factor, by straight pieces: a secant through two points of one piece
  // hits it.
  double before = 1;
  double time_before = iteration(scenario, source, before);
  double factor = measured / time_before;
  for (int i = 0; i < kMostTries; ++i) {
    if (!(factor > 1 / kMost && factor < kMost))
      throw wrong_option(
          "--anchor",
          fmt::format("{} is {:.3g} times what the model says, {}: computation cannot "
                      "make up for that",
                      TimeUnit::fit(*time).format(*time), measured / iteration(scenario, source, 1),
                      TimeUnit::fit(*time).format(Time(std::llround(time_before)))));
    const double now = iteration(scenario, source, factor);
    if (std::abs(now / measured - 1) < kCloseEnough)
      break;
    const double slope = (now - time_before) / (factor - before);
    before = factor;
    time_before = now;
    factor = slope > 0 ? factor + (measured - now) / slope : 0;
  }
  scenario.job->compute_scale = factor;
  scenario.noise = noise;
  global.note(
      fmt::format("--anchor: computation takes {0:.4f} times what the model says; "
                  "--compute-scale {0:.4f} says so for other runs",
                  factor));
}

}  // namespace bubblescope
