#include "analysis/calibration/grid_fit.h"

#include <Eigen/SparseCholesky>
#include <algorithm>
#include <cassert>
#include <cmath>
#include <map>
#include <set>
#include <utility>

namespace bubblescope {
namespace {

/// A curve that takes this many times what the grid says ran an untuned kernel.
constexpr double kUntuned = 1.5;
/// µs for 10⁶ elements of tokens × hidden. More than 2 is no kernel's: a fit only asks for it where
/// all timings have the experts on one GPU, so that the term cannot be told from the products.
constexpr double kCombine[] = {0, 0.25, 0.5, 1, 1.5, 2};

/// The nodes around a point, and how much of its time each decides.
struct Corners {
  static constexpr std::size_t kMost = std::size_t{1} << GridPoint::kMostAxes;
  std::size_t count = 1;
  std::array<std::size_t, kMost> node = {};
  std::array<double, kMost> weight = {1};
};

Corners corners_of(const std::vector<GridAxis>& axes, const GridPoint& point) {
  Corners corners;
  for (std::size_t axis = 0; axis < axes.size(); ++axis) {
    const std::vector<double>& nodes = axes[axis].nodes;
    for (std::size_t i = 0; i < corners.count; ++i)
      corners.node[i] *= nodes.size();
    if (nodes.size() == 1)
      continue;
    const double at = std::clamp(point.at[axis], nodes.front(), nodes.back());
    const auto next = std::min(std::upper_bound(nodes.begin(), nodes.end(), at), nodes.end() - 1);
    const auto low = static_cast<std::size_t>(next - nodes.begin()) - 1;
    const double part = std::log(at / nodes[low]) / std::log(nodes[low + 1] / nodes[low]);
    for (std::size_t i = 0; i < corners.count; ++i) {
      corners.node[i] += low;
      corners.node[corners.count + i] = corners.node[i] + 1;
      corners.weight[corners.count + i] = corners.weight[i] * part;
      corners.weight[i] *= 1 - part;
    }
    corners.count *= 2;
  }
  return corners;
}

/// Outside the grid log(time) gains so much.
double beyond(const std::vector<GridAxis>& axes, const GridPoint& point) {
  double sum = 0;
  for (std::size_t axis = 0; axis < axes.size(); ++axis) {
    sum += axes[axis].above * std::log(std::max(point.at[axis] / axes[axis].nodes.back(), 1.0));
    sum += axes[axis].below * std::log(std::min(point.at[axis] / axes[axis].nodes.front(), 1.0));
  }
  return sum;
}

double interpolated(const Corners& corners, const std::vector<double>& values) {
  double sum = 0;
  for (std::size_t i = 0; i < corners.count; ++i)
    sum += corners.weight[i] * values[corners.node[i]];
  return sum;
}

Eigen::Index index(std::size_t node) {
  return static_cast<Eigen::Index>(node);
}

/// The quadratic form of a grid's second differences, which decides where there are no timings;
/// its lower half, as all such forms here.
Eigen::MatrixXd roughness(const std::vector<GridAxis>& axes) {
  constexpr double kStrength = 0.005;
  constexpr double kRidge = 1e-9;
  const std::size_t count = node_count(axes);
  Eigen::MatrixXd form = Eigen::MatrixXd::Zero(index(count), index(count));
  form.diagonal().setConstant(kRidge);
  std::size_t stride = count;
  for (const GridAxis& axis : axes) {
    const std::size_t size = axis.nodes.size();
    stride /= size;
    for (std::size_t node = 0; node < count; ++node) {
      const std::size_t place = node / stride % size;
      if (place == 0 || place + 1 == size)
        continue;
      const double left = std::log(axis.nodes[place] / axis.nodes[place - 1]);
      const double right = std::log(axis.nodes[place + 1] / axis.nodes[place]);
      const double second[] = {1 / left, -1 / left - 1 / right, 1 / right};
      for (std::size_t p = 0; p < 3; ++p)
        for (std::size_t q = 0; q <= p; ++q)
          form(index(node + p * stride - stride), index(node + q * stride - stride)) +=
              kStrength * second[p] * second[q];
    }
  }
  return form;
}

/// Adds what a timing, as far as it is trusted, says of the nodes around it.
void add(const Corners& corners, double trust, double target, Eigen::MatrixXd& form,
         Eigen::VectorXd& right) {
  for (std::size_t p = 0; p < corners.count; ++p) {
    const double part = trust * corners.weight[p];
    right[index(corners.node[p])] += part * target;
    for (std::size_t q = 0; q <= p; ++q) {
      const auto [column, row] = std::minmax(corners.node[p], corners.node[q]);
      form(index(row), index(column)) += part * corners.weight[q];
    }
  }
}

/// log(time) at the nodes. Least squares are weighted anew a few times by the errors that they
/// leave, which makes the absolute errors least.
std::vector<double> solved(const std::vector<GridAxis>& axes, const std::vector<Corners>& corners,
                           const std::vector<double>& target) {
  constexpr int kRounds = 5;
  constexpr double kLeastError = 0.02;
  const Eigen::MatrixXd rough = roughness(axes);
  std::vector<double> trust(target.size(), 1);
  std::vector<double> values;
  for (int round = 0; round < kRounds; ++round) {
    Eigen::MatrixXd form = rough;
    Eigen::VectorXd right = Eigen::VectorXd::Zero(form.rows());
    for (std::size_t i = 0; i < target.size(); ++i)
      add(corners[i], trust[i], target[i], form, right);
    const Eigen::SimplicialLDLT<Eigen::SparseMatrix<double>> factors(form.sparseView());
    assert(factors.info() == Eigen::Success);
    const Eigen::VectorXd solution = factors.solve(right);
    values.assign(solution.begin(), solution.end());
    double sum = 0;
    for (std::size_t i = 0; i < target.size(); ++i) {
      trust[i] = 1 / std::max(std::abs(interpolated(corners[i], values) - target[i]), kLeastError);
      sum += trust[i];
    }
    for (double& each : trust)
      each *= static_cast<double>(target.size()) / sum;
  }
  return values;
}

}  // namespace

GridFit::GridFit(std::vector<GridAxis> axes, std::vector<double> log_microseconds, double combine)
    : axes_(std::move(axes)), log_microseconds_(std::move(log_microseconds)), combine_(combine) {}

double GridFit::microseconds(const GridPoint& point) const {
  return std::exp(interpolated(corners_of(axes_, point), log_microseconds_) +
                  beyond(axes_, point)) +
         combine_ * point.moved;
}

std::vector<double> GridFit::microseconds() const {
  std::vector<double> times;
  times.reserve(log_microseconds_.size());
  for (const double each : log_microseconds_)
    times.push_back(std::exp(each));
  return times;
}

std::vector<GridAxis> cut_axes(const std::vector<GridAxis>& axes,
                               const std::vector<GridPoint>& points) {
  constexpr double kApart = 1.2;  // a node nearer to an end gives way to it
  std::vector<GridAxis> kept;
  for (std::size_t axis = 0; axis < axes.size(); ++axis) {
    const auto [least, greatest] = std::minmax_element(
        points.begin(), points.end(),
        [axis](const GridPoint& a, const GridPoint& b) { return a.at[axis] < b.at[axis]; });
    std::set<double> nodes = {least->at[axis], greatest->at[axis]};
    for (const double node : axes[axis].nodes)
      if (node > least->at[axis] * kApart && node < greatest->at[axis] / kApart)
        nodes.insert(node);
    kept.push_back(axes[axis]);
    kept.back().nodes.assign(nodes.begin(), nodes.end());
  }
  return kept;
}

namespace {

/// Calls `visit` for each node of axes, the last axis running fastest.
template <typename Visit>
void for_each_node(const std::vector<GridAxis>& axes, const Visit& visit) {
  const std::size_t count = node_count(axes);
  for (std::size_t node = 0; node < count; ++node) {
    GridPoint point;
    std::size_t rest = node;
    for (std::size_t axis = axes.size(); axis-- > 0;) {
      point.at[axis] = axes[axis].nodes[rest % axes[axis].nodes.size()];
      rest /= axes[axis].nodes.size();
    }
    visit(point);
  }
}

}  // namespace

GridFit fit_grid(std::vector<GridAxis> axes, const std::vector<GridPoint>& points, double combine,
                 const GridFit* near) {
  constexpr double kLeastPart = 0.1;  // of a timing, whatever combining takes
  const auto known = [&](GridPoint point) {
    point.moved = 0;
    return near == nullptr ? 0 : std::log(near->microseconds(point));
  };
  std::vector<Corners> corners;
  std::vector<double> target;
  for (const GridPoint& point : points) {
    const double time = std::max(point.microseconds - combine * point.moved,
                                 combine > 0 ? kLeastPart * point.microseconds : 0.0);
    corners.push_back(corners_of(axes, point));
    target.push_back(std::log(time) - (near == nullptr ? beyond(axes, point) : known(point)));
  }
  std::vector<double> values = solved(axes, corners, target);
  auto value = values.begin();
  for_each_node(axes, [&](const GridPoint& node) { *value++ += known(node); });
  return {std::move(axes), std::move(values), combine};
}

GridFit extended(const GridFit& grid, const GridFit& base) {
  constexpr double kApart = 1.2;
  std::vector<GridAxis> axes = grid.axes();
  for (std::size_t axis = 0; axis < axes.size(); ++axis) {
    std::vector<double>& nodes = axes[axis].nodes;
    const double first = nodes.front();
    const double last = nodes.back();
    for (const double node : base.axes()[axis].nodes)
      if (node * kApart < first || node > last * kApart)
        nodes.push_back(node);
    std::sort(nodes.begin(), nodes.end());
  }
  std::vector<double> values;
  for_each_node(axes, [&](const GridPoint& node) {
    GridPoint inside = node;
    for (std::size_t axis = 0; axis < axes.size(); ++axis)
      inside.at[axis] = std::clamp(node.at[axis], grid.axes()[axis].nodes.front(),
                                   grid.axes()[axis].nodes.back());
    const double outside = base.microseconds(node) / base.microseconds(inside);
    values.push_back(std::log(grid.microseconds(inside) * outside));
  });
  return {std::move(axes), std::move(values), grid.combine()};
}

std::size_t node_count(const std::vector<GridAxis>& axes) {
  std::size_t count = 1;
  for (const GridAxis& axis : axes)
    count *= axis.nodes.size();
  return count;
}

std::vector<double> grid_errors(const GridFit& grid, const std::vector<GridPoint>& points) {
  std::vector<double> errors;
  errors.reserve(points.size());
  for (const GridPoint& point : points)
    errors.push_back(std::abs(grid.microseconds(point) / point.microseconds - 1));
  return errors;
}

TunedFit fit_tuned_grid(const std::vector<GridAxis>& axes, const std::vector<GridPoint>& points) {
  const std::vector<GridAxis> whole = cut_axes(axes, points);
  GridFit best = fit_grid(whole, points, kCombine[0]);
  double least = middle(grid_errors(best, points));
  for (const double combine : kCombine) {
    if (combine == kCombine[0])
      continue;
    GridFit other = fit_grid(whole, points, combine);
    const double error = middle(grid_errors(other, points));
    if (error < least) {
      least = error;
      best = std::move(other);
    }
  }
  std::map<std::size_t, std::vector<double>> excess;
  for (const GridPoint& point : points)
    excess[point.curve].push_back(point.microseconds / best.microseconds(point));
  std::set<std::size_t> slow;
  for (const auto& [curve, values] : excess)
    if (middle(values) > kUntuned)
      slow.insert(curve);
  std::vector<GridPoint> used;
  for (const GridPoint& point : points)
    if (!slow.contains(point.curve))
      used.push_back(point);
  if (used.empty())
    used = points;
  GridFit grid = fit_grid(cut_axes(axes, used), used, best.combine());
  const std::size_t untuned = points.size() - used.size();
  return {std::move(grid), std::move(used), untuned};
}

double middle(std::vector<double> values) {
  assert(!values.empty());
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

}  // namespace bubblescope
