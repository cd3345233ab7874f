// Percentiles and medians of samples, and lines fitted to points.
#pragma once

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <vector>

namespace bubblescope {

/// The smallest of `sorted`, of which there is at least one, that a `share` of them (0 to 1) do not
/// pass.
template <typename T>
T percentile(const std::vector<T>& sorted, double share) {
  assert(!sorted.empty());
  const double rank = std::ceil(share * static_cast<double>(sorted.size()));
  return sorted[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

/// The lower of the two in the middle where `values`, of which there is at least one, are even in
/// number.
template <typename T>
T lower_median(std::vector<T> values) {
  assert(!values.empty());
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

struct DataPoint {
  double x;
  double y;
  double weight = 1;
};

/// y = mean_y + slope · (x − mean_x)
struct FittedLine {
  double mean_x = 0;
  double mean_y = 0;
  double slope = 0;
  double at(double x) const { return mean_y + slope * (x - mean_x); }
};

/// The line of weighted least squares through at least one point; level where all have one x.
inline FittedLine fit_line(const std::vector<DataPoint>& points) {
  assert(!points.empty());
  const double origin = points.front().x;  // so that equal x differ by 0, whatever is rounded
  FittedLine line;
  double weight = 0;
  for (const DataPoint& each : points) {
    weight += each.weight;
    line.mean_x += each.weight * (each.x - origin);
    line.mean_y += each.weight * each.y;
  }
  line.mean_x /= weight;
  line.mean_y /= weight;
  double xx = 0;
  double xy = 0;
  for (const DataPoint& each : points) {
    const double x = each.x - origin - line.mean_x;
    xx += each.weight * x * x;
    xy += each.weight * x * (each.y - line.mean_y);
  }
  line.slope = xx > 0 ? xy / xx : 0;
  line.mean_x += origin;
  return line;
}

}  // namespace bubblescope
