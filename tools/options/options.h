// The options that subcommands share, and how their words become values.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "analysis/figures/format.h"
#include "analysis/figures/iteration.h"
#include "analysis/views/compare_view.h"
#include "sim/costs/cost_model.h"
#include "sim/program/posted_program.h"
#include "sim/search/automatic.h"
#include "tools/options/model_options.h"
#include "tools/options/network_options.h"
#include "tools/options/option_words.h"

namespace bubblescope {

/// Ops that can be numbered.
constexpr std::int64_t kMostOps = std::int64_t{1} << 31;

/// What every subcommand takes.
struct GlobalOptions {
  std::string color = "auto";
  bool quiet = false;
  std::string command = {};  ///< The command line, as it could be typed again.

  void add_to(CLI::App& app);
  /// UsageError for a wrong word.
  void check() const;
  /// A message on stderr, unless quiet.
  void note(std::string_view text) const;
};

struct OutputOptions {
  std::string format = "table";
  std::string path;

  void add_to(CLI::App& app);
  Format parsed_format() const;
  /// Colours are for a terminal: never in a file.
  Color color(const GlobalOptions& global) const;
};

struct ShapeOptions {
  std::string ranks;
  std::string microbatches;
  std::string chunks;
  std::string group_size;

  void add_to(CLI::App& app);
  /// As given, checked; UsageError where the ops would be too many to be numbered, or p or m is
  /// missing and `present` has none either.
  Shape shape(const Shape& present = {}) const;
};

/// How messages travel, for what the command line asks of a program.
struct CommChoice {
  std::optional<Comm> comm = {};  ///< None: as the program says, else ideal.
  std::optional<Channels> channels = {};

  Comm comm_or_ideal() const { return comm.value_or(Comm::Ideal); }
  /// Sets the channels asked for. Throws UsageError where the program has none.
  void set_channels(PostedProgram& program) const;
};

struct CommOptions {
  std::string comm;
  std::string channels;

  void add_to(CLI::App& app);
  CommChoice choice() const;
};

struct CostCommandOptions {
  std::string costs;
  std::string forward, input_grad, weight_grad, backward, overlapped;
  std::string p2p, bandwidth, message, activation, weights;
  std::string grad_reduce, optimizer;
  std::string reduce_when, optimizer_sync;
  std::string per, overlap;
  NetworkOptions network = {};
  ModelOptions model = {};
  CommOptions comm = {};
  bool links_are_measured = false;  ///< None of them can be given then.

  void add_to(CLI::App& app);
  /// Those alone that tell costs: nothing of what is run with them.
  void add_source_to(CLI::App& app);
  /// What the costs come from where they come from a model. Throws as `source` does.
  std::optional<ModelJob> job() const;
  /// Where they do not. Throws UsageError for what is wrong on the command line, Error for what is
  /// wrong in a file.
  CostSource source() const;
  bool are_by_hand() const { return costs.empty() && !model.are_given(); }
  /// --p2p alone, for costs that are measured. Throws UsageError where more is given.
  std::optional<Time> latency_alone() const;
  /// Any of what a cost is told by.
  bool are_given() const;
  /// Any of what comes after the step, but for what a model or a file tells.
  bool is_iteration_given() const {
    return !grad_reduce.empty() || !optimizer.empty() || !reduce_when.empty() ||
           !optimizer_sync.empty();
  }
  CostOptions options() const;
  IterationOptions iteration_options() const;

 private:
  CostSource by_hand() const;
  /// UsageError where costs are given by hand beside `source`.
  void refuse_by_hand(const std::string& source) const;
  StageCost stage_by_hand() const;
  Link link_by_hand() const;
  /// What only costs by hand have, by name.
  std::vector<std::pair<const char*, const std::string*>> parts() const;
};

/// What schedules are held to, and automatic ones made for.
struct LimitOptions {
  std::string memory_limit;
  std::string objective, effort;

  void add_to(CLI::App& app);
  /// The limit is live activations for a plain number, bytes for one with a unit. `make_scenario`
  /// refuses the former where costs come from a model.
  AutomaticOptions options() const;
  bool are_given() const { return !memory_limit.empty() || is_search_given(); }
  /// What only a search takes notice of.
  bool is_search_given() const { return !objective.empty() || !effort.empty(); }

 private:
  MemoryLimit limit() const;
};

/// A schedule of the catalogue; UsageError, with the nearest name, if there is none.
const CatalogueEntry& require_schedule(std::string_view name);

}  // namespace bubblescope
