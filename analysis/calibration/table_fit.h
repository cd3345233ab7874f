// A table of kernels fitted to timings, and how far it can be trusted.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "analysis/calibration/grid_fit.h"
#include "analysis/calibration/timing_points.h"

namespace bubblescope {

constexpr std::string_view kFromTimings = "timings";

/// How well a table fits the timings that it is made of.
struct TableFigures {
  std::string table;                     ///< "products.bf16"
  std::string from;                      ///< "timings", or the name of the base.
  std::optional<std::size_t> rows = {};  ///< The files' timings; a table of the base has none.
  std::optional<std::size_t> used = {};  ///< The grid is fitted to so many.
  std::optional<std::size_t> nodes = {};
  /// |grid / timing − 1| of those that are used.
  std::optional<double> median_error = {}, p90_error = {}, worst_error = {};
  /// Likewise of shapes that a grid has not seen; none where there are too few shapes.
  std::optional<double> left_out_median = {}, left_out_p90 = {};
};

struct TableFit {
  TimedTable table;
  GridFit grid;
  TableFigures figures;
};

/// Fits a table. `base_tables` (bubblescope-kernels/1, or null) tell how times go on where there
/// are no timings. Throws Error where nothing tells it.
TableFit fit_table(TimedTable table, const nlohmann::ordered_json& base_tables);

/// The grid that tables of kernels have for a table's section, key and number of GPUs, if any.
std::optional<GridFit> table_grid(const TimedTable& table, const nlohmann::ordered_json& tables);

}  // namespace bubblescope
