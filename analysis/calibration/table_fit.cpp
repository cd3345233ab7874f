#include "analysis/calibration/table_fit.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sim/base/statistics.h"

namespace bubblescope {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kMostOf = 0.9;

std::vector<double> numbers_of(const Json& json) {
  return json.get<std::vector<double>>();
}

/// Fewer timings than nodes are too few to tell a grid: they correct the base's.
TunedFit fitted_grid(const TimedTable& table, const std::optional<GridFit>& base) {
  if (base && table.points.size() < node_count(table.axes))
    return {fit_grid(table.axes, table.points, 0, &*base), table.points, 0};
  if (table.kind == TimingKind::Experts)
    return fit_tuned_grid(table.axes, table.points);
  return {fit_grid(table.axes, table.points), table.points, 0};
}

/// Into which part each shape falls, by a shuffle that is the same everywhere.
std::vector<std::size_t> parts_of(std::size_t shapes, std::size_t parts) {
  std::vector<std::size_t> part(shapes);
  for (std::size_t i = 0; i < shapes; ++i)
    part[i] = i % parts;
  std::mt19937 random(1);
  for (std::size_t i = shapes; i > 1; --i)
    std::swap(part[i - 1], part[random() % i]);
  return part;
}

/// Errors of judged points, each by a grid that has not seen its shape. Empty where there are too
/// few shapes.
std::vector<double> left_out_errors(const TimedTable& table, const TunedFit& fit,
                                    const std::optional<GridFit>& base) {
  constexpr std::size_t kParts = 5;
  constexpr std::size_t kLeastShapes = 10;
  std::size_t shapes = 0;
  for (const GridPoint& point : fit.used)
    shapes = std::max(shapes, point.shape + 1);
  std::vector<double> errors;
  if (shapes < kLeastShapes)
    return errors;
  const std::vector<std::size_t> part_of = parts_of(shapes, kParts);
  for (std::size_t part = 0; part < kParts; ++part) {
    std::vector<GridPoint> seen;
    std::vector<GridPoint> asked;
    for (const GridPoint& point : fit.used)
      if (part_of[point.shape] != part)
        seen.push_back(point);
      else if (point.is_judged)
        asked.push_back(point);
    if (seen.empty() || asked.empty())
      continue;
    std::vector<GridAxis> axes = cut_axes(section_axes(table.section), seen);
    const bool is_sparse = base && seen.size() < node_count(axes);
    GridFit grid =
        fit_grid(std::move(axes), seen, fit.grid.combine(), is_sparse ? &*base : nullptr);
    if (base)
      grid = extended(grid, *base);
    for (const double error : grid_errors(grid, asked))
      errors.push_back(error);
  }
  std::sort(errors.begin(), errors.end());
  return errors;
}

TableFigures figures_of(const TimedTable& table, const TunedFit& fit,
                        const std::optional<GridFit>& base) {
  std::vector<double> errors = grid_errors(fit.grid, fit.used);
  std::sort(errors.begin(), errors.end());
  TableFigures figures{.table = table.name(),
                       .from = std::string(kFromTimings),
                       .rows = table.rows,
                       .used = fit.used.size(),
                       .nodes = node_count(fit.grid.axes()),
                       .median_error = middle(errors),
                       .p90_error = percentile(errors, kMostOf),
                       .worst_error = errors.back()};
  if (table.gpus)
    figures.table += fmt::format(".{}", *table.gpus);
  if (const std::vector<double> unseen = left_out_errors(table, fit, base); !unseen.empty()) {
    figures.left_out_median = middle(unseen);
    figures.left_out_p90 = percentile(unseen, kMostOf);
  }
  return figures;
}

}  // namespace

std::optional<GridFit> table_grid(const TimedTable& table, const Json& tables) {
  if (!tables.is_object() || !tables.contains(table.section))
    return std::nullopt;
  const Json& section = tables[table.section];
  if (!table.key.empty() && !section.contains(table.key))
    return std::nullopt;
  const Json& json = table.key.empty() ? section : section[table.key];
  std::vector<GridAxis> axes = section_axes(table.section);
  std::size_t first = 0;
  for (GridAxis& axis : axes)
    axis.nodes = numbers_of(json[axis.name]);
  const std::size_t count = node_count(axes);
  if (table.gpus) {  // else all of "us"
    const std::vector<double> gpus = numbers_of(json["gpus"]);
    const auto found = std::find(gpus.begin(), gpus.end(), *table.gpus);
    if (found == gpus.end())
      return std::nullopt;
    first = static_cast<std::size_t>(found - gpus.begin()) * count;
  }
  std::vector<double> values = numbers_of(json["us"]);
  values = {values.begin() + static_cast<std::ptrdiff_t>(first),
            values.begin() + static_cast<std::ptrdiff_t>(first + count)};
  for (double& each : values)
    each = std::log(each);
  return GridFit(std::move(axes), std::move(values), 0);
}

TableFit fit_table(TimedTable table, const Json& base_tables) {
  const std::optional<GridFit> base = table_grid(table, base_tables);
  if (!base)
    require_spread(table);
  TunedFit fit = fitted_grid(table, base);
  TableFigures figures = figures_of(table, fit, base);
  if (base)
    fit.grid = extended(fit.grid, *base);
  return {std::move(table), std::move(fit.grid), std::move(figures)};
}

}  // namespace bubblescope
