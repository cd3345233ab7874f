// Options that make durations differ from step to step.
#pragma once

#include <optional>

#include <CLI/CLI.hpp>

#include "analysis/figures/noise_report.h"
#include "tools/options/option.h"

namespace bubblescope {

struct NoiseCommandOptions {
  NoiseOptions asked;
  OptionGroup sources;   ///< What makes noise.
  OptionGroup sampling;  ///< How it is drawn.

  void add_to(CLI::App& app);
  /// Any of them.
  bool are_given() const { return sources.is_given() || sampling.is_given(); }
  /// None where no noise is asked for. Throws UsageError for what does not go together.
  std::optional<NoiseOptions> noise(int ranks) const;
};

}  // namespace bubblescope
