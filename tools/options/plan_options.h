// What `plan` is asked: the job, which of its choices are narrowed, and what is shown.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "analysis/plan/plan_search.h"
#include "analysis/plan/space_bounds.h"
#include "tools/options/model_options.h"
#include "tools/options/output_options.h"

namespace bubblescope {

/// A framework that a plan is written for.
enum class EmitFor : std::uint8_t { Megatron, Torchtitan };

struct PlanCommandOptions {
  ModelOptions model = {};
  PlanChoices choices = {};
  std::optional<Comm> comm = {};  ///< None: ideal, or as --like says.
  std::string like = {};
  IterationOptions iteration = {};
  std::optional<Bytes> memory_limit = {};
  int top = 10;
  bool all = false, exhaustive = false;
  std::optional<double> tokens = {};  ///< Of the whole training.
  std::optional<double> price = {};   ///< Of a GPU for an hour.
  std::optional<PlanShard> shard = {};
  std::optional<EmitFor> emit = {};
  std::vector<std::string> words = {};  ///< "merge" and files, or nothing.
  OptionGroup asked = {};               ///< What tells which question it is.
  OptionGroup passed_on = {};           ///< Those that `simulate` takes as they are.
  OutputOptions output = {};

  PlanCommandOptions();
  void add_to(CLI::App& app);
  /// Throws UsageError and Error as ModelOptions::job does.
  PlanQuestion question() const;
  /// What was asked, as words of a command line, but for what only says how it is shown.
  std::vector<std::string> question_words() const;
  /// What a GPU may hold, as it is asked for, else all that it has.
  Bytes device_limit(const Hardware& hardware) const {
    return memory_limit.value_or(hardware.memory);
  }

 private:
  void add_choices_to(CLI::App& app);
  void add_run_to(CLI::App& app);
  void apply_defaults(PlanQuestion& question) const;
};

}  // namespace bubblescope
