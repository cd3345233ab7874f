// A grid of times that fits timings best, as data/kernels has them (docs/kernels.md).
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

namespace bubblescope {

/// An axis of a grid, and with which power of it times grow outside its nodes.
struct GridAxis {
  std::string name;
  std::vector<double> nodes;  ///< Rising, above 0.
  double above = 1;
  double below = 0;
};

/// A timing as a point of a grid.
struct GridPoint {
  static constexpr std::size_t kMostAxes = 4;
  std::array<double, kMostAxes> at = {};  ///< A coordinate above 0 for each axis.
  double microseconds = 0;
  double moved = 0;       ///< In 10⁶ elements, those that experts sort and sum.
  std::size_t curve = 0;  ///< Timings of experts that differ in tokens alone share one.
  std::size_t shape = 0;  ///< A judge leaves out all timings of a shape at once.
  bool is_judged = true;  ///< It is large enough to matter.
};

/// Times at the nodes. Between nodes their logarithms are linear over those of the axes. Made by
/// `fit_grid`; KernelGrid is what a simulation reads.
class GridFit {
 public:
  GridFit(std::vector<GridAxis> axes, std::vector<double> log_microseconds, double combine);

  double microseconds(const GridPoint& point) const;
  const std::vector<GridAxis>& axes() const { return axes_; }
  /// At the nodes, the last axis running fastest.
  std::vector<double> microseconds() const;
  /// Sorting and summing rows adds so much to a timing, in µs for 10⁶ elements; no node has it.
  double combine() const { return combine_; }

 private:
  std::vector<GridAxis> axes_;
  std::vector<double> log_microseconds_;
  double combine_;
};

/// The axes from the least to the greatest coordinate of the points, of which there is at least
/// one, with the nodes between.
std::vector<GridAxis> cut_axes(const std::vector<GridAxis>& axes,
                               const std::vector<GridPoint>& points);

/// The grid over just these axes that makes the absolute errors of log(time) least. Where there are
/// no points it goes on straight, or if a grid `near` it is known, as a smooth factor of that one
/// says. `combine` is taken away from each time before.
GridFit fit_grid(std::vector<GridAxis> axes, const std::vector<GridPoint>& points,
                 double combine = 0, const GridFit* near = nullptr);

/// Adds the nodes of `base`, of the same axes, that lie outside: there a time differs from base's
/// by the factor at the nearest point inside.
GridFit extended(const GridFit& grid, const GridFit& base);

/// How many nodes axes have together.
std::size_t node_count(const std::vector<GridAxis>& axes);

/// |grid / timing − 1| of each point.
std::vector<double> grid_errors(const GridFit& grid, const std::vector<GridPoint>& points);

/// A fit that leaves out curves which took far longer than their neighbours, as untuned kernels do.
struct TunedFit {
  GridFit grid;
  std::vector<GridPoint> used;
  std::size_t untuned;  ///< How many points were left out.
};

/// Cuts the axes, and chooses also what combining takes.
TunedFit fit_tuned_grid(const std::vector<GridAxis>& axes, const std::vector<GridPoint>& points);

/// The value in the middle of at least one, or the mean of two.
double middle(std::vector<double> values);

}  // namespace bubblescope
