// The options that tell costs by a model and hardware.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "sim/transformer/analytic_costs.h"

namespace bubblescope {

struct ModelOptions {
  std::string model;
  std::vector<std::string> ignored_keys;
  std::string hardware;
  std::string parallel;
  std::string microbatch_size;
  std::string sequence;
  std::string precision;
  std::string recompute;
  std::string layout;
  std::string pair_order;
  std::string attention;
  std::string zero;
  std::string gradients;
  std::string moments;
  std::string collectives;

  void add_to(CLI::App& app);
  /// Any of them.
  bool are_given() const { return !first_given().empty(); }
  /// The first option that is, "--layout"; empty where none is.
  std::string first_given() const;
  /// Throws UsageError for what is wrong on the command line, Error for what is wrong in a file.
  ModelJob job() const;
};

}  // namespace bubblescope
