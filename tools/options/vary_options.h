// Costs that a sweep varies: --vary 'p2p=0:1ms' --vary 'forward=1ms:4ms:9:log'.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "analysis/sweep/sweep.h"
#include "tools/predict.h"

namespace bubblescope {

/// A cost that can be varied.
struct Variable;

struct VariedAxis {
  const Variable* variable;
  SweepAxis axis;
  std::int64_t from, to;
};

struct VaryOptions {
  std::vector<VariedAxis> axes;  ///< One or two; steps of micro-batches have no values yet.
  std::string svg;

  void add_to(CLI::App& app);
  bool are_given() const { return !axes.empty(); }
  /// With all values. Throws UsageError for axes that do not go together.
  std::vector<VariedAxis> axes_of(const ShapeOptions& shape) const;
};

/// What is varied, set in costs by hand or in what was read from files.
class VariedScenario {
 public:
  /// Throws UsageError where a cost cannot be varied: it is given elsewhere too, the costs come
  /// from a model, or differ from stage to stage, or it would change nothing.
  VariedScenario(const std::vector<VariedAxis>& axes, const ShapeOptions& shape,
                 const CostCommandOptions& costs, const LimitOptions& limits, const Shape& present);

  /// At a value of each axis.
  Scenario at(const std::vector<std::int64_t>& values) const;
  /// At the least of each.
  Scenario first() const;
  /// Whether the number of micro-batches is varied.
  bool varies_shape() const;
  /// Whether step times of an order are convex in every cost that is varied.
  bool is_convex() const;

 private:
  void check(const Variable& variable) const;
  void check_in_file(const Variable& variable) const;

  std::vector<VariedAxis> axes_;
  ShapeOptions shape_;
  CostCommandOptions costs_;
  LimitOptions limits_;
  Shape present_;
  std::optional<Scenario> base_ = {};  // where costs are read: from a file, or made from a model
};

}  // namespace bubblescope
