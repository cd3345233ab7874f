// Options of `plan`: the job, which of its choices are narrowed, and what is shown.
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
#include "tools/options/shape_options.h"

namespace bubblescope {

/// A framework that a plan is written for.
enum class EmitFor : std::uint8_t { Megatron, Torchtitan };

constexpr std::int64_t kMostShards = 100'000;

struct PlanCommandOptions {
  ModelOptions model = {};
  PlanChoices choices = {};
  CommOptions comm = {};
  std::string like = {};
  IterationOptions iteration = {};
  std::optional<Bytes> memory_limit = {};
  int top = 10;
  bool all = false, exhaustive = false;
  std::optional<double> tokens = {};  ///< The whole training takes so many.
  std::optional<double> price = {};   ///< A GPU costs it for an hour.
  std::optional<PlanShard> shard = {};
  std::optional<EmitFor> emit = {};
  std::vector<std::string> words = {};  ///< "merge" and files, or nothing.
  OptionGroup asked = {};               ///< Options that tell which question it is.
  OptionGroup passed_on = {};           ///< Options that `simulate` takes as they are.
  OutputOptions output = {};

  PlanCommandOptions();
  void add_to(CLI::App& app);
  /// Throws UsageError and Error as ModelOptions::job does.
  PlanQuestion question() const;
  /// The question as words of a command line, without those that only say how it is shown.
  std::vector<std::string> question_words() const;
  /// A GPU may hold so much: as asked for, else all that it has.
  Bytes device_limit(const Hardware& hardware) const {
    return memory_limit.value_or(hardware.memory);
  }

 private:
  void add_choices_to(CLI::App& app);
  void add_run_to(CLI::App& app);
  void apply_defaults(PlanQuestion& question) const;
};

}  // namespace bubblescope
