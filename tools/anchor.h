// --anchor: one measured iteration scales what a model says of computation.
#pragma once

#include <optional>

#include "tools/schedule_source.h"

namespace bubblescope {

struct AnchorOption {
  std::optional<Time> time = {};

  /// The app has --model.
  void add_to(CLI::App& app);
  /// Scales the computation of the scenario so that the schedule takes that time, and tells by how
  /// much; does nothing where none is given. Throws UsageError where computation would have to take
  /// more than ten times as long, or less than a tenth.
  void scale(Scenario& scenario, const ScheduleSource& source, const GlobalOptions& global) const;
};

}  // namespace bubblescope
