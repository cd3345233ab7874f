// Timings of kernels as points of the grids that data/kernels has (docs/kernels.md).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/calibration/grid_fit.h"
#include "analysis/calibration/timing_file.h"

namespace bubblescope {

/// A table with the timings that it is fitted to.
struct TimedTable {
  std::string section;  ///< "products"
  std::string key;      ///< "bf16"; empty where the section is one table.
  TimingKind kind = TimingKind::Products;
  std::vector<GridAxis> axes = {};
  std::vector<GridPoint> points = {};
  std::optional<int> gpus = {};  ///< So many take part in a collective.
  std::size_t rows = 0;  ///< Timings of the files, those that no grid is fitted to included.

  /// "products.bf16"
  std::string name() const;
};

/// The tables that some timings are of, in the order in which a file of kernels has them.
/// Collectives have one for each number of GPUs, all with the same axis. Throws Error for timings
/// of which none can be used.
std::vector<TimedTable> timed_tables(const std::vector<TimingFile>& files);

/// The axes of a section of data/kernels, with all nodes that they may have; none for another word.
std::vector<GridAxis> section_axes(std::string_view section);

/// Throws Error where the timings have one coordinate alone on an axis that a table must span if no
/// other tells how it goes on.
void require_spread(const TimedTable& table);

}  // namespace bubblescope
