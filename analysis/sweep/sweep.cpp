#include "analysis/sweep/sweep.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace bubblescope {
namespace {

bool can_win(const SweepRun& run) {
  return run.time.has_value() && run.fits;
}

std::optional<std::size_t> winner_without(const SweepRuns& runs, std::optional<std::size_t> left) {
  std::optional<Time> least;
  for (std::size_t i = 0; i < runs.size(); ++i)
    if (i != left && can_win(runs[i]))
      least = least ? std::min(*least, *runs[i].time) : *runs[i].time;
  if (!least)
    return std::nullopt;
  std::optional<std::size_t> best;
  const auto key = [&](std::size_t i) {
    return std::pair(runs[i].peak_activation_share, runs[i].weight_copies);
  };
  for (std::size_t i = 0; i < runs.size(); ++i)
    if (i != left && can_win(runs[i]) &&
        as_double(*runs[i].time) <= as_double(*least) * (1 + kTie) &&
        (!best || key(i) < key(*best)))
      best = i;
  return best;
}

/// One line of a sweep: the points along the first axis at one value of the second.
class Line {
 public:
  Line(const Sweep& sweep, std::function<SweepRuns(std::int64_t)> run)
      : sweep_(sweep), run_(std::move(run)) {
    for (const std::int64_t value : sweep.axes[0].values)
      add(value);
    if (sweep.is_exact)
      add_outer();
  }

  const SweepRuns& at(std::int64_t value) const { return points_.at(value).runs; }

  std::vector<SweepRegion> regions() {
    const auto& values = sweep_.axes[0].values;
    if (sweep_.axes[0].kind != AxisKind::Count)
      for (std::size_t i = 1; i < values.size(); ++i)
        refine(values[i - 1], values[i]);
    std::vector<SweepRegion> regions;
    for (const auto& [value, point] : points_)
      if (value < values.front() || value > values.back())
        continue;
      else if (regions.empty() || regions.back().best != point.best)
        regions.push_back({point.best, value, value});
      else
        regions.back().to = value;
    return regions;
  }

 private:
  struct Point {
    SweepRuns runs;
    std::optional<std::size_t> best;
  };

  const Point& add(std::int64_t value) {
    SweepRuns runs = run_(value);
    const auto best = winner(runs);
    return points_.emplace(value, Point{std::move(runs), best}).first->second;
  }

  /// A point on either side, for the secants of the first and the last interval.
  void add_outer() {
    const auto& values = sweep_.axes[0].values;
    constexpr std::int64_t kLargest = std::int64_t{1} << 52U;
    const std::int64_t before = values[0] - (values[1] - values[0]);
    if (before > 0)
      add(before);
    if (const std::int64_t last = values.back(); last < kLargest)
      add(last + (last - values[values.size() - 2]));
  }

  /// Runs all that can tell more about who wins between two points.
  void refine(std::int64_t low, std::int64_t high) {
    const std::int64_t step = std::max<std::int64_t>(1, high >> 20U);
    if (high - low <= step)
      return;
    const bool differs = points_.at(low).best != points_.at(high).best;
    const auto at = differs ? low + (high - low) / 2 : hidden(low, high);
    if (!at)
      return;
    const std::int64_t between = std::clamp(*at, low + 1, high - 1);
    add(between);
    refine(low, between);
    refine(between, high);
  }

  /// Where another schedule could win between two points that one wins; none where none can.
  std::optional<std::int64_t> hidden(std::int64_t low, std::int64_t high) const {
    const auto best = points_.at(low).best;
    if (!sweep_.is_exact || !best)
      return std::nullopt;
    for (std::size_t other = 0; other < sweep_.schedules.size(); ++other)
      if (other != *best && can_win(at(low)[other]) && can_win(at(high)[other]))
        if (const auto value = lowest(other, *best, low, high))
          return value;
    return std::nullopt;
  }

  /// The slope of a schedule's time from a point to a known one on its left or right that is as far
  /// as the interval is wide, so that rounding hardly counts; none where there is no such point.
  std::optional<double> slope_beyond(std::int64_t value, std::int64_t width, bool left,
                                     std::size_t schedule) const {
    auto other = points_.find(value);
    while (left ? other != points_.begin() : other != points_.end()) {
      other = left ? std::prev(other) : std::next(other);
      if (other == points_.end())
        break;
      if (std::abs(other->first - value) < width)
        continue;
      const auto& time = other->second.runs[schedule].time;
      if (!time)
        break;
      return (as_double(*time) - as_double(*at(value)[schedule].time)) /
             as_double(other->first - value);
    }
    const bool falls = sweep_.axes[0].kind == AxisKind::Rate;
    return left == falls ? std::nullopt : std::optional(0.0);  // no time goes the other way
  }

  /// Where the secants from outside, below which a convex time cannot be, meet, if that is below
  /// the chord of the winner, above which its own cannot be.
  std::optional<std::int64_t> lowest(std::size_t other, std::size_t best, std::int64_t low,
                                     std::int64_t high) const {
    const auto left = slope_beyond(low, high - low, true, other);
    const auto right = slope_beyond(high, high - low, false, other);
    const double width = as_double(high - low);
    const double y0 = as_double(*at(low)[other].time);
    const double y1 = as_double(*at(high)[other].time);
    double part = width / 2;  // of the interval: without both secants its middle
    double bound = std::min(left ? y0 + *left * width : y0, right ? y1 - *right * width : y1);
    if (left && right) {
      if (*right > *left)
        part = std::clamp((y0 - y1 + *right * width) / (*right - *left), 0.0, width);
      bound = y0 + *left * part;
    }
    const double b0 = as_double(*at(low)[best].time);
    const double b1 = as_double(*at(high)[best].time);
    const double chord = left && right ? b0 + (b1 - b0) * part / width : std::min(b0, b1);
    if (bound >= chord * (1 - kTie))
      return std::nullopt;
    return low + std::llround(part);
  }

  const Sweep& sweep_;
  std::function<SweepRuns(std::int64_t)> run_;
  std::map<std::int64_t, Point> points_;
};

}  // namespace

std::string format_value(std::int64_t value, AxisKind kind) {
  if (kind == AxisKind::Count)
    return std::to_string(value);
  if (value == 0)
    return "0";
  struct Scale {
    double factor;
    const char* name;
  };
  static constexpr Scale kTimes[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}, {1, "ns"}};
  static constexpr Scale kSizes[] = {{1099511627776.0, "TiB"},
                                     {1073741824.0, "GiB"},
                                     {1048576.0, "MiB"},
                                     {1024.0, "KiB"},
                                     {1, "B"}};
  static constexpr Scale kRates[] = {
      {1e12, "TB/s"}, {1e9, "GB/s"}, {1e6, "MB/s"}, {1e3, "KB/s"}, {1, "B/s"}};
  const std::span<const Scale> scales = kind == AxisKind::Duration ? std::span<const Scale>(kTimes)
                                        : kind == AxisKind::Size   ? std::span<const Scale>(kSizes)
                                                                   : std::span<const Scale>(kRates);
  const auto scale = std::find_if(scales.begin(), scales.end() - 1, [&](const Scale& each) {
    return as_double(value) >= each.factor;
  });
  const double shown = as_double(value) / scale->factor;
  return fmt::format("{} {}",
                     shown < 1000 ? fmt::format("{:.4g}", shown) : fmt::format("{:.0f}", shown),
                     scale->name);
}

std::string axis_key(const SweepAxis& axis) {
  std::string key = axis.name;
  std::replace(key.begin(), key.end(), '-', '_');
  switch (axis.kind) {
    case AxisKind::Duration:
      return key + "_ns";
    case AxisKind::Size:
      return key + "_bytes";
    case AxisKind::Rate:
      return key + "_bytes_per_second";
    case AxisKind::Count:
      break;
  }
  return key;
}

std::optional<std::size_t> winner(const SweepRuns& runs) {
  return winner_without(runs, std::nullopt);
}

std::optional<std::size_t> runner_up(const SweepRuns& runs, std::size_t best) {
  return winner_without(runs, best);
}

void run_sweep(Sweep& sweep, const RunAt& run) {
  sweep.points.clear();
  sweep.regions.clear();
  for (std::size_t y = 0; y < sweep.rows(); ++y) {
    const std::int64_t at = sweep.axes.size() == 2 ? sweep.axes[1].values[y] : 0;
    Line line(sweep, [&](std::int64_t value) { return run(value, at); });
    for (const std::int64_t value : sweep.axes[0].values)
      sweep.points.push_back(line.at(value));
    sweep.regions.push_back(line.regions());
  }
}

}  // namespace bubblescope
