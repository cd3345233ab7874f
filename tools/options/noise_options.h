// Options that make durations differ from step to step.
#pragma once

#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "analysis/figures/noise_report.h"

namespace bubblescope {

struct NoiseCommandOptions {
  std::string jitter, rank_jitter, straggler, hiccups, factors;
  std::string samples, seed;

  void add_to(CLI::App& app);
  /// Any of them.
  bool are_given() const;
  /// None where no noise is asked for. Throws UsageError for what is wrong on the command line,
  /// Error for a file of factors that is.
  std::optional<NoiseOptions> parsed(int ranks) const;
};

}  // namespace bubblescope
