#include "tools/commands/compare_sweep.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "analysis/figures/fits.h"
#include "sim/base/error.h"

namespace bubblescope {
namespace {

/// A schedule on its way through the points of a sweep.
struct Runner {
  const Contender* contender;
  std::optional<ScheduledProgram> order = {};  // of one shape; none where it is searched
  int microbatches = 0;                        // of the order
  bool has_run = false;
  std::string obstacle = {};  // the first
};

class Runners {
 public:
  Runners(const SweepRequest& request, Sweep& sweep, Progress& progress)
      : sweep_(sweep), progress_(progress) {
    for (const Contender& contender : request.contenders) {
      if (contender.source.is_searched() && !contender.by_name) {
        sweep.skipped.push_back({contender.name(),
                                 "it would be searched for at every point; name it in --schedules "
                                 "to have that"});
        continue;
      }
      runners_.push_back({&contender});
      sweep.schedules.push_back(contender.name());
    }
  }

  SweepRuns run(const Scenario& scenario) {
    SweepRuns runs;
    for (Runner& runner : runners_)
      runs.push_back(run(runner, scenario));
    return runs;
  }

  /// Takes schedules that ran at no point out of the sweep, and tells why.
  void leave_out_idle() {
    for (std::size_t i = runners_.size(); i-- > 0;) {
      if (runners_[i].has_run)
        continue;
      const auto at = static_cast<std::ptrdiff_t>(i);
      sweep_.skipped.insert(sweep_.skipped.begin(), {sweep_.schedules[i], runners_[i].obstacle});
      sweep_.schedules.erase(sweep_.schedules.begin() + at);
      for (SweepRuns& runs : sweep_.points)
        runs.erase(runs.begin() + at);
      for (auto& regions : sweep_.regions)
        for (SweepRegion& region : regions)
          if (region.best && *region.best > i)
            --*region.best;
    }
    if (!sweep_.schedules.empty())
      return;
    std::string text = "no schedule can run at any point:";
    for (const Skipped& skipped : sweep_.skipped)
      text += fmt::format("\n  {}: {}", skipped.schedule, skipped.reason);
    throw Error(text);
  }

 private:
  SweepRun run(Runner& runner, const Scenario& scenario) {
    const Scenario own = runner.contender->own(scenario);
    if (auto obstacle = find_obstacle(runner.contender->source, own)) {
      if (runner.obstacle.empty())
        runner.obstacle = std::move(*obstacle);
      return {};
    }
    if (runner.contender->source.is_searched() ||
        runner.microbatches != scenario.shape.microbatches) {
      runner.order = schedule_for(runner.contender->source, own, progress_);
      runner.microbatches = scenario.shape.microbatches;
    }
    const Prediction prediction = predict(*runner.order, scenario, progress_);
    const Analysis analysis = prediction.analysis();
    const Report& report = analysis.report;
    runner.has_run = true;
    sweep_.is_iteration = sweep_.is_iteration || report.iteration.has_value();
    tell_setting(report);
    return {.time = report.whole_time(),
            .fits = fits(report, scenario.limit()),
            .peak_activation_share = report.peak_activation_share,
            .weight_copies = report.weight_copies};
  }

  void tell_setting(const Report& report) {
    const bool varies = std::any_of(sweep_.axes.begin(), sweep_.axes.end(),
                                    [](const auto& axis) { return axis.kind == AxisKind::Count; });
    const std::string words = comm_words(report);
    if (sweep_.setting.empty())
      sweep_.setting = varies ? fmt::format("{} ranks, {}", report.ranks, words) : setting(report);
    else if (!sweep_.setting.ends_with(words))
      sweep_.setting = "messages travel in several ways";
  }

  Sweep& sweep_;
  Progress& progress_;
  std::vector<Runner> runners_;
};

}  // namespace

Sweep sweep_schedules(const SweepRequest& request, Progress& progress) {
  Sweep sweep;
  for (const VariedAxis& each : request.axes)
    sweep.axes.push_back(each.axis);
  Runners runners(request, sweep, progress);
  const bool searches =
      std::any_of(request.contenders.begin(), request.contenders.end(),
                  [](const Contender& each) { return each.source.is_searched() && each.by_name; });
  sweep.is_exact = request.scenarios.is_convex() && !searches;
  run_sweep(sweep, [&](std::int64_t x, std::int64_t y) {
    std::vector<std::int64_t> values = {x};
    if (request.axes.size() == 2)
      values.push_back(y);
    return runners.run(request.scenarios.at(values));
  });
  runners.leave_out_idle();
  return sweep;
}

}  // namespace bubblescope
