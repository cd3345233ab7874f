#include "analysis/views/sweep_view.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/views/page.h"
#include "sim/base/json_text.h"

namespace bubblescope {
namespace {

using Align = Column::Align;
using nlohmann::ordered_json;

const char* time_words(const Sweep& sweep) {
  return sweep.is_iteration ? "iteration" : "step time";
}

std::string value_words(const SweepAxis& axis, std::int64_t value) {
  return format_value(value, axis.kind);
}

std::string axis_words(const SweepAxis& axis) {
  return fmt::format("{} from {} to {}, {} points{}", axis.name,
                     value_words(axis, axis.values.front()), value_words(axis, axis.values.back()),
                     axis.values.size(), axis.is_logarithmic ? " (log)" : "");
}

std::string title(const Sweep& sweep) {
  std::string text = sweep.setting + "; " + axis_words(sweep.axes[0]);
  if (sweep.axes.size() == 2)
    text += "; " + axis_words(sweep.axes[1]);
  return text;
}

double times_as_long(const SweepRun& run, const SweepRun& best) {
  return best.time->count() == 0
             ? 1.0
             : static_cast<double>(run.time->count()) / static_cast<double>(best.time->count());
}

/// The largest time of a point's winner, for one unit in a column.
Time longest(const Sweep& sweep) {
  Time most{};
  for (const SweepRuns& runs : sweep.points)
    if (const auto best = winner(runs))
      most = std::max(most, *runs[*best].time);
  return most;
}

/// Stands for a schedule in a map.
char letter(std::size_t number) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  return kLetters[number % kLetters.size()];
}

/// A row each value of the only axis.
Table points_table(const Sweep& sweep) {
  const SweepAxis& axis = sweep.axes[0];
  Table table{{{axis.name},
               {"wins", Align::Left},
               {time_words(sweep)},
               {"next best", Align::Left},
               {"× as long"},
               {"peak, p-ths\nof the model"},
               {"weight\ncopies"}}};
  const TimeUnit unit = TimeUnit::fit(longest(sweep));
  for (std::size_t x = 0; x < sweep.columns(); ++x) {
    const SweepRuns& runs = sweep.point(x, 0);
    Table::Row row{{value_words(axis, axis.values[x])}};
    if (const auto best = winner(runs)) {
      const SweepRun& run = runs[*best];
      row.cells.push_back(sweep.schedules[*best]);
      row.cells.push_back(unit.format(*run.time));
      const auto next = runner_up(runs, *best);
      row.cells.push_back(next ? sweep.schedules[*next] : "");
      row.cells.push_back(next ? fmt::format("{:.3f}", times_as_long(runs[*next], run)) : "");
      row.cells.push_back(fmt::format("{:g}", run.peak_activation_share));
      row.cells.push_back(std::to_string(run.weight_copies));
    } else {
      row.cells.emplace_back("none fits");
      row.cells.resize(table.columns.size());
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

/// How many points each schedule wins, and by how much at most; only those that win any.
struct Share {
  std::size_t schedule;
  std::size_t points = 0;
  double margin = 1;          ///< Largest × as long that the next best takes.
  std::int64_t x = 0, y = 0;  ///< Where that is.
};

std::vector<Share> shares(const Sweep& sweep) {
  std::vector<Share> found;
  for (std::size_t y = 0; y < sweep.rows(); ++y)
    for (std::size_t x = 0; x < sweep.columns(); ++x) {
      const SweepRuns& runs = sweep.point(x, y);
      const auto best = winner(runs);
      if (!best)
        continue;
      auto share = std::find_if(found.begin(), found.end(),
                                [&](const Share& each) { return each.schedule == *best; });
      if (share == found.end())
        share = found.insert(found.end(), Share{*best});
      ++share->points;
      const auto next = runner_up(runs, *best);
      const double margin = next ? times_as_long(runs[*next], runs[*best]) : 1;
      if (share->points == 1 || margin > share->margin)
        *share = {*best, share->points, margin, sweep.axes[0].values[x],
                  sweep.axes.size() == 2 ? sweep.axes[1].values[y] : 0};
    }
  std::stable_sort(found.begin(), found.end(),
                   [](const Share& a, const Share& b) { return a.points > b.points; });
  return found;
}

Table shares_table(const Sweep& sweep, const std::vector<Share>& found) {
  Table table{{{"", Align::Left},
               {"wins", Align::Left},
               {"points"},
               {"of all"},
               {"next best,\n× as long at most"},
               {sweep.axes[0].name},
               {sweep.axes[1].name}}};
  for (std::size_t i = 0; i < found.size(); ++i)
    table.rows.push_back(
        {{std::string(1, letter(i)), sweep.schedules[found[i].schedule],
          std::to_string(found[i].points),
          format_percent(static_cast<double>(found[i].points) /
                         static_cast<double>(sweep.points.size())),
          fmt::format("{:.3f}", found[i].margin), value_words(sweep.axes[0], found[i].x),
          value_words(sweep.axes[1], found[i].y)}});
  return table;
}

/// A letter a point, the second axis upwards.
std::string map_text(const Sweep& sweep, const std::vector<Share>& found) {
  const SweepAxis& down = sweep.axes[1];
  std::size_t wide = down.name.size();
  for (const std::int64_t value : down.values)
    wide = std::max(wide, value_words(down, value).size());
  std::string text = fmt::format("{:>{}}\n", down.name, wide);
  for (std::size_t row = sweep.rows(); row-- > 0;) {
    text += fmt::format("{:>{}}  ", value_words(down, down.values[row]), wide);
    for (std::size_t x = 0; x < sweep.columns(); ++x) {
      const auto best = winner(sweep.point(x, row));
      const auto share = std::find_if(found.begin(), found.end(), [&](const Share& each) {
        return best && each.schedule == *best;
      });
      text += share == found.end() ? '.' : letter(static_cast<std::size_t>(share - found.begin()));
    }
    text += "\n";
  }
  const std::string from = value_words(sweep.axes[0], sweep.axes[0].values.front());
  const std::string to = value_words(sweep.axes[0], sweep.axes[0].values.back());
  return text + fmt::format("{:>{}}  {} … {} {}\n", "", wide, from, to, sweep.axes[0].name);
}

ordered_json axis_json(const SweepAxis& axis) {
  return {{"name", axis.name},
          {"key", axis_key(axis)},
          {"log", axis.is_logarithmic},
          {"values", axis.values}};
}

/// The values of a point by the keys of their axes.
ordered_json place_json(const Sweep& sweep, std::size_t x, std::size_t y) {
  ordered_json json = {{axis_key(sweep.axes[0]), sweep.axes[0].values[x]}};
  if (sweep.axes.size() == 2)
    json[axis_key(sweep.axes[1])] = sweep.axes[1].values[y];
  return json;
}

void add_run(ordered_json& json, const SweepRun& run, const SweepRuns& runs,
             std::optional<std::size_t> best, bool wins) {
  json["time_ns"] = run.time ? ordered_json(run.time->count()) : ordered_json(nullptr);
  json["times_as_long"] =
      run.time && best ? ordered_json(times_as_long(run, runs[*best])) : ordered_json(nullptr);
  json["fits"] = run.time ? ordered_json(run.fits) : ordered_json(nullptr);
  json["wins"] = wins;
}

ordered_json json_of(const Sweep& sweep) {
  ordered_json json = {{"setting", sweep.setting},
                       {"time", sweep.is_iteration ? "iteration" : "step"},
                       {"axes", ordered_json::array()},
                       {"schedules", sweep.schedules},
                       {"regions_are_complete", sweep.is_exact},
                       {"regions", ordered_json::array()},
                       {"points", ordered_json::array()},
                       {"skipped", ordered_json::array()},
                       {"verdict", verdict(sweep)}};
  for (const SweepAxis& axis : sweep.axes)
    json["axes"].push_back(axis_json(axis));
  for (std::size_t y = 0; y < sweep.rows(); ++y) {
    for (const SweepRegion& region : sweep.regions[y]) {
      ordered_json each = {{"best", region.best ? ordered_json(sweep.schedules[*region.best])
                                                : ordered_json(nullptr)},
                           {"from", region.from},
                           {"to", region.to}};
      if (sweep.axes.size() == 2)
        each[axis_key(sweep.axes[1])] = sweep.axes[1].values[y];
      json["regions"].push_back(std::move(each));
    }
    for (std::size_t x = 0; x < sweep.columns(); ++x) {
      const SweepRuns& runs = sweep.point(x, y);
      const auto best = winner(runs);
      ordered_json point = place_json(sweep, x, y);
      point["best"] = best ? ordered_json(sweep.schedules[*best]) : ordered_json(nullptr);
      point["results"] = ordered_json::array();
      for (std::size_t i = 0; i < runs.size(); ++i) {
        ordered_json result = {{"schedule", sweep.schedules[i]}};
        add_run(result, runs[i], runs, best, best == i);
        point["results"].push_back(std::move(result));
      }
      json["points"].push_back(std::move(point));
    }
  }
  for (const Skipped& skipped : sweep.skipped)
    json["skipped"].push_back({{"schedule", skipped.schedule}, {"reason", skipped.reason}});
  return json;
}

std::string csv_of(const Sweep& sweep) {
  std::vector<ordered_json> rows;
  for (std::size_t y = 0; y < sweep.rows(); ++y)
    for (std::size_t x = 0; x < sweep.columns(); ++x) {
      const SweepRuns& runs = sweep.point(x, y);
      const auto best = winner(runs);
      for (std::size_t i = 0; i < runs.size(); ++i) {
        ordered_json row = place_json(sweep, x, y);
        row["schedule"] = sweep.schedules[i];
        add_run(row, runs[i], runs, best, best == i);
        rows.push_back(std::move(row));
      }
    }
  return to_csv(rows);
}

/// "zb-h2 wins below p2p 141.2 µs, zb-h1 above"
std::string verdict_along(const Sweep& sweep) {
  const SweepAxis& axis = sweep.axes[0];
  const auto& regions = sweep.regions[0];
  const auto value = [&](std::int64_t at) { return value_words(axis, at); };
  const bool counted = axis.kind == AxisKind::Count;
  std::string text;
  for (std::size_t i = 0; i < regions.size(); ++i) {
    const SweepRegion& region = regions[i];
    const std::string name =
        region.best ? sweep.schedules[*region.best] + (i == 0 ? " wins" : "") : "none fits";
    if (regions.size() == 1)
      return fmt::format("{} for every {} from {} to {}", name, axis.name,
                         value(axis.values.front()), value(axis.values.back()));
    const std::string at = i == 0 ? axis.name + " " : "";
    if (i > 0)
      text += ", ";
    if (counted)
      text += region.from == region.to
                  ? fmt::format("{} at {}{}", name, at, value(region.from))
                  : fmt::format("{} at {}{} to {}", name, at, value(region.from), value(region.to));
    else if (i == 0)
      text += fmt::format("{} below {}{}", name, at, value(regions[1].from));
    else if (i + 1 < regions.size())
      text += fmt::format("{} from there to {}", name, value(regions[i + 1].from));
    else
      text += name + " above";
  }
  return text;
}

}  // namespace

std::string verdict(const Sweep& sweep) {
  if (sweep.axes.size() == 1)
    return verdict_along(sweep);
  const auto found = shares(sweep);
  if (found.empty())
    return "none: no schedule stays within the memory limit";
  std::string text;
  for (const Share& share : found)
    text += fmt::format("{}{}{} {}", text.empty() ? "" : ", ", sweep.schedules[share.schedule],
                        text.empty() ? " wins at" : " at",
                        share.points == sweep.points.size()
                            ? "all points"
                            : format_percent(static_cast<double>(share.points) /
                                             static_cast<double>(sweep.points.size())) +
                                  (text.empty() ? " of the points" : ""));
  return text;
}

std::string sweep_view(const Sweep& sweep, Format format, Color color) {
  if (format == Format::Json)
    return dump_json(json_of(sweep), 2) + "\n";
  if (format == Format::Csv)
    return csv_of(sweep);
  Page page(format, color);
  page.title(title(sweep), Emphasis::None);
  if (sweep.axes.size() == 1) {
    page.table(points_table(sweep));
  } else {
    const auto found = shares(sweep);
    page.drawing(map_text(sweep, found));
    page.table(shares_table(sweep, found));
  }
  page.blank_line();
  for (const Skipped& skipped : sweep.skipped)
    page.skipped(skipped);
  page.verdict(verdict(sweep));
  return page.text();
}

}  // namespace bubblescope
