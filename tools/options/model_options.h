// The options that tell costs by a model and hardware.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json_fwd.hpp>

#include "sim/transformer/analytic_costs.h"
#include "tools/options/option.h"
#include "tools/options/shape_options.h"

namespace bubblescope {

struct ModelOptions {
  std::string model, hardware, layout;
  std::vector<std::string> ignored_keys;
  Degrees degrees;
  std::optional<int> gpus_per_node;
  std::optional<bool> kernel_tables;      ///< None: where the hardware has them.
  std::optional<int> gpus, global_batch;  ///< They may stand for dp, and for m.
  Training training;
  std::optional<std::int64_t> sequence;
  double compute_scale = 1;
  OptionGroup given;  ///< All of them.
  /// Options that are not declared: what a subcommand takes lists of, "--tp".
  std::vector<std::string_view> left_out = {};

  void add_to(CLI::App& app);
  bool are_given() const { return given.is_given(); }
  /// For pipelines of so many ranks, which --gpus needs to know. Throws UsageError for what is
  /// wrong on the command line, Error for what is wrong in a file.
  ModelJob job(std::optional<int> ranks) const;
  /// The micro-batches that --global-batch comes to; none where it is not given.
  std::optional<int> microbatches(std::optional<int> ranks) const;

 private:
  void add_parallel_to(CLI::App& app);
  void add_training_to(CLI::App& app);
  void add_experts_to(CLI::App& app);
  Parallel parallel(std::optional<int> ranks) const;
};

/// What the costs come from, as options say it, for the inputs of a result.
nlohmann::ordered_json job_json(const ModelJob& job);

}  // namespace bubblescope
