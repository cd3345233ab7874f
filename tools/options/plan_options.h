// What `plan` is asked: the job, which of its choices are narrowed, and what is shown.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "analysis/plan/plan_search.h"
#include "tools/options/model_options.h"
#include "tools/options/output_options.h"

namespace bubblescope {

struct PlanCommandOptions {
  ModelOptions model = {};
  PlanChoices choices = {};
  Comm comm = {};
  IterationOptions iteration = {};
  std::optional<Bytes> memory_limit = {};
  int top = 10;
  bool all = false, exhaustive = false;
  std::optional<double> tokens = {};  ///< Of the whole training.
  std::optional<double> price = {};   ///< Of a GPU for an hour.
  OptionGroup passed_on = {};         ///< Those that `simulate` takes as they are.
  OutputOptions output = {};

  PlanCommandOptions();
  void add_to(CLI::App& app);
  /// Throws UsageError and Error as ModelOptions::job does.
  PlanQuestion question() const;
  /// What a GPU may hold, as it is asked for, else all that it has.
  Bytes device_limit(const Hardware& hardware) const {
    return memory_limit.value_or(hardware.memory);
  }

 private:
  void add_choices_to(CLI::App& app);
  void add_run_to(CLI::App& app);
};

}  // namespace bubblescope
