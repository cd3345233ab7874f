// The options that tell costs: by hand, from a file or from a model, and what follows from them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "analysis/figures/iteration.h"
#include "sim/costs/cost_model.h"
#include "tools/options/model_options.h"
#include "tools/options/network_options.h"
#include "tools/options/option.h"
#include "tools/options/shape_options.h"

namespace bubblescope {

/// Declares --reduce and --optimizer-sync, noted in `given`.
void add_iteration(CLI::App& app, IterationOptions& options, OptionGroup& given);

struct CostCommandOptions {
  std::string file;    ///< A cost file, or a built-in table by name.
  CostSource by_hand;  ///< One stage and a link, as far as they are given.
  NetworkOptions network = {};
  ModelOptions model = {};
  std::string like;  ///< A framework, whose defaults `add_to` sets where nothing is given.
  CostOptions how = {};
  IterationOptions iteration_options = {};
  CommOptions comm = {};
  OptionGroup hand;                      ///< What only costs by hand have.
  OptionGroup iteration;                 ///< What comes after the step.
  OptionGroup options;                   ///< How costs are read: --cost-per, --overlap and --scale.
  std::vector<std::string> varied = {};  ///< What a sweep sets in `by_hand`: "--p2p".
  bool links_are_measured = false;       ///< None of them can be given then.

  CostCommandOptions();
  void add_to(CLI::App& app);
  /// Declares what tells costs alone: nothing of what is run with them.
  void add_source_to(CLI::App& app);

  /// What the costs come from where they come from a model. Throws as `source` does.
  std::optional<ModelJob> job(std::optional<int> ranks) const;
  /// Where they do not. Throws UsageError for what is wrong on the command line, Error for what is
  /// wrong in a file.
  CostSource source() const;
  bool are_by_hand() const { return file.empty() && !model.are_given(); }
  /// --p2p alone, for costs that are measured. Throws UsageError where more is given.
  std::optional<Time> latency_alone() const;
  /// Any of what a cost is told by.
  bool are_given() const;
  bool is_given_by_hand(std::string_view option) const;

 private:
  void add_hand_to(CLI::App& app);
  CostSource source_by_hand() const;
  void check_rates(const CostSource& source) const;
};

}  // namespace bubblescope
