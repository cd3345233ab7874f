// compare --vary: schedules at many values of one or two costs.
#pragma once

#include <vector>

#include "analysis/sweep/sweep.h"
#include "tools/commands/contender.h"
#include "tools/options/vary_options.h"

namespace bubblescope {

struct SweepRequest {
  const std::vector<VariedAxis>& axes;
  const VariedScenario& scenarios;
  /// Automatic schedules are searched for anew at every point; those not asked for by name are
  /// skipped.
  const std::vector<Contender>& contenders;
};

/// Throws Error where no schedule can run at any point.
Sweep sweep_schedules(const SweepRequest& request, Progress& progress);

}  // namespace bubblescope
